/* help.h - what each command does, in words. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "output.h"

/* Prints the help of a command, or, for 0, of the whole. */
void cli_help(int command, cli_output *output);

#endif
