/* placement.c - puts a model on the device that you name, and shows where it is, how it came there, and that it is
 * well.
 *
 *     ./placement [DEVICE [OTHER-DEVICE]]
 *
 * With two devices the model is loaded onto the first and moved to the second. */
#include <crossenc/crossenc.h>

#include <inttypes.h>
#include <stdio.h>

static void print_devices(void) {
    ce_device_info infos[16];
    size_t count = 0;
    if (ce_devices(infos, 16, &count, NULL) != CE_OK) return;
    for (size_t i = 0; i < count && i < 16; i++)
        printf("device %-8s %s\n", infos[i].id, infos[i].usable ? infos[i].name : infos[i].reason);
}

static ce_status print_placement(const ce_model *model, ce_error *error) {
    /* Structs that the library fills begin with their size, so that old programs work with newer libraries. */
    ce_placement_report report = {.size = sizeof report};
    ce_status status = ce_model_placement(model, &report, error);
    if (status != CE_OK) return status;
    printf("asked for %s, on %s (%s), placement %" PRIu64 "\n", report.requested, report.device, report.device_name,
           report.generation);
    printf("  %.1f MB of weights, %" PRIu32 " of %" PRIu32 " tensors verified, %" PRIu64 " bytes left on the host\n",
           (double)report.weight_bytes / 1e6, report.tensors_verified, report.tensors, report.host_bytes);
    printf("  self-test %s, error %.2g of at most %.2g, %.0f ms in all\n", report.self_tested ? "passed" : "not run",
           report.self_test_error, report.self_test_bound, report.total_ms);
    return CE_OK;
}

static ce_status check_health(ce_model *model, ce_error *error) {
    ce_health health = {.size = sizeof health};
    ce_status status = ce_model_check(model, &health, error);
    if (status == CE_OK) printf("  well, as a check of %.1f ms says\n", health.milliseconds);
    return status;
}

int main(int argc, char **argv) {
    ce_error error = {0};
    ce_model *model = NULL;
    char folder[4096];
    int result = 1;

    print_devices();
    ce_load_options options = {.size = sizeof options, .device = argc > 1 ? argv[1] : "cpu"};
    if (ce_default_model_path(folder, sizeof folder, &error) != CE_OK) goto done;
    /* When this returns CE_OK the weights are on that device, verified. */
    if (ce_model_load(folder, &options, &model, &error) != CE_OK) goto done;
    if (print_placement(model, &error) != CE_OK || check_health(model, &error) != CE_OK) goto done;

    /* A move is a transaction: if it fails, the model works on where it was. */
    const char *target = argc > 2 ? argv[2] : "cpu:0";
    if (ce_model_to(model, target, &error) != CE_OK) {
        printf("not moved: %s\n", error.message);
        if (check_health(model, NULL) != CE_OK) goto done;
    } else if (print_placement(model, &error) != CE_OK || check_health(model, &error) != CE_OK) {
        goto done;
    }
    result = 0;
done:
    if (result != 0) fprintf(stderr, "placement: %s: %s\n", ce_status_name(error.status), error.message);
    ce_model_free(model);
    return result;
}
