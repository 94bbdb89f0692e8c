/* hub.c - ce_hub_pull: arguments, the environment, and a model under the names that it may have. Relies on pull.h, and
 * on curl.h for carrying requests. */
#include <crossenc/hub.h>

#include "base/error.h"
#include "base/memory.h"
#include "hub/cache.h"
#include "hub/curl.h"
#include "hub/pull.h"

#include <stdlib.h>

/* The second variable counts where the first is not set, as in huggingface_hub. */
static ce_status check_online(const char *name, ce_error *error) {
    const char *first = getenv("HF_HUB_OFFLINE");
    const char *variable = first && *first ? "HF_HUB_OFFLINE" : "TRANSFORMERS_OFFLINE";
    if (!cei_hub_flag(variable)) return CE_OK;
    return cei_fail(error, CE_ERR_NOT_FOUND,
                    "%.200s is not fetched, for %s is set: unset it, or take a model that is in the cache", name,
                    variable);
}

/* A name without an organization is the given one's, or, as the hub's oldest names are, nobody's. */
static ce_status pull_any(cei_hub_client *client, const cei_model_name *name, const char *organization, char **folder,
                          ce_hub_report *report, ce_error *error) {
    cei_model_name qualified;
    if (!organization || !cei_model_name_qualify(name, organization, &qualified))
        return cei_hub_pull(client, name, folder, report, error);
    ce_error why;
    ce_status status = cei_hub_pull(client, &qualified, folder, report, &why);
    if (status != CE_ERR_NOT_FOUND) return status == CE_OK ? CE_OK : cei_fail(error, status, "%s", why.message);
    status = cei_hub_pull(client, name, folder, report, error);
    /* The first name is what was most likely meant. */
    return status == CE_ERR_NOT_FOUND ? cei_fail(error, status, "%s", why.message) : status;
}

static ce_status pull_by_curl(const cei_hub_settings *settings, const cei_model_name *name, const char *organization,
                              char **folder, ce_hub_report *report, ce_error *error) {
    cei_hub_client client;
    cei_curl *curl = NULL;
    ce_status status = cei_hub_client_create(&client, NULL, settings, error);
    if (status == CE_OK) status = cei_curl_create(&client, &curl, error);
    if (status == CE_OK) {
        client.http = cei_curl_http(curl);
        status = pull_any(&client, name, organization, folder, report, error);
    }
    cei_curl_free(curl);
    return status;
}

ce_status ce_hub_pull(const char *name, const ce_hub_options *options, char *path, size_t size, ce_hub_report *report,
                      ce_error *error) {
    ce_hub_options read;
    cei_hub_settings settings = {0};
    cei_model_name model;
    ce_hub_report unused = {.size = sizeof unused};
    char *folder = NULL;
    if (!name || !path) return cei_fail(error, CE_ERR_ARGUMENT, "ce_hub_pull: %s is NULL", name ? "path" : "name");
    ce_status status = cei_hub_options_read(options, &read, error);
    if (status == CE_OK && report) status = cei_check_struct(report->size, sizeof *report, "ce_hub_report", error);
    if (status == CE_OK) status = cei_model_name_parse(name, read.revision, &model, error);
    if (status == CE_OK) status = check_online(name, error);
    if (status == CE_OK) status = cei_hub_settings_read(&read, &settings, error);
    if (!report) report = &unused;
    if (status == CE_OK) {
        *report = (ce_hub_report){.size = report->size};
        status = pull_by_curl(&settings, &model, read.organization, &folder, report, error);
    }
    if (status == CE_OK) status = cei_hub_give_path(folder, path, size, error);
    cei_free(folder);
    cei_hub_settings_free(&settings);
    return status;
}
