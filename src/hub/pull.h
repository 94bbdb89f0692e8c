/* pull.h - a whole model from the hub, over any carrier of requests. */
#ifndef CEI_HUB_PULL_H
#define CEI_HUB_PULL_H

#include "hub/client.h"
#include "hub/name.h"

/* ce_hub_pull for one repository, and the model that it changes if it is an adapter's. *folder receives the snapshot's,
 * to be freed. Errors: those of ce_hub_pull. */
ce_status cei_hub_pull(cei_hub_client *client, const cei_model_name *name, char **folder, ce_hub_report *report,
                       ce_error *error);

#endif
