/* commands.h - the commands. Each does its work whole: it checks its settings, opens what it needs, releases all. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "options.h"

cli_status cli_rank(const cli_settings *settings, cli_error *error);
cli_status cli_rerank(const cli_settings *settings, cli_error *error); /* rank with --run */
cli_status cli_predict(const cli_settings *settings, cli_error *error);
cli_status cli_encode(const cli_settings *settings, cli_error *error);
cli_status cli_eval(const cli_settings *settings, cli_error *error);
cli_status cli_bench(const cli_settings *settings, cli_error *error);
cli_status cli_devices(const cli_settings *settings, cli_error *error);
cli_status cli_inspect(const cli_settings *settings, cli_error *error);
cli_status cli_convert(const cli_settings *settings, cli_error *error);
cli_status cli_pull(const cli_settings *settings, cli_error *error);
cli_status cli_tokenize(const cli_settings *settings, cli_error *error);

#endif
