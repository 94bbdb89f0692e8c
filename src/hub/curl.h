/* curl.h - requests carried by libcurl, which is loaded when the first one is to be made. */
#ifndef CEI_HUB_CURL_H
#define CEI_HUB_CURL_H

#include "hub/client.h"

typedef struct cei_curl cei_curl;

/* Loads libcurl. Connections are kept from one request to the next; one thread at a time. client's caller is asked ten
 * times a second whether it goes on. Errors: UNSUPPORTED (the build or the machine has no libcurl), MEMORY. */
ce_status cei_curl_create(const cei_hub_client *client, cei_curl **curl, ce_error *error);
cei_http *cei_curl_http(cei_curl *curl);
void cei_curl_free(cei_curl *curl); /* NULL is fine */

#endif
