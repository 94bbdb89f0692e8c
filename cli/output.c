/* output.c - buffered writing with remembered failures, files that appear whole, and what the terminal can do.
 *
 * Relies on POSIX files. The one piece of global state of the command is here: the name of the unfinished file, which
 * a signal handler must know, and the signal that it was asked to postpone. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static char unfinished[PATH_MAX];
static volatile sig_atomic_t has_unfinished, is_postponed, postponed;

static void on_signal(int number) {
    if (is_postponed && !postponed) {
        postponed = number;
        return;
    }
    if (has_unfinished) unlink(unfinished);
    signal(number, SIG_DFL);
    raise(number);
}

void cli_output_catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action;
        /* One that is ignored stays so: that is how nohup asks. */
        if (sigaction(numbers[i], NULL, &action) != 0 || action.sa_handler == SIG_IGN) continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = on_signal;
        action.sa_flags = (int)(SA_NODEFER | SA_RESETHAND);
        sigaction(numbers[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void cli_output_postpone_signals(void) { is_postponed = 1; }

bool cli_output_was_signalled(void) { return postponed != 0; }

void cli_output_deliver_signal(void) {
    is_postponed = 0;
    if (postponed) raise(postponed);
}

bool cli_color_wanted(cli_color color, int fd) {
    if (color != CLI_COLOR_AUTO) return color == CLI_COLOR_ALWAYS;
    const char *off = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(fd) && !(off && *off) && terminal && strcmp(terminal, "dumb") != 0;
}

size_t cli_terminal_width(int fd) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
    return 80;
}

const char *cli_style(const cli_output *output, const char *sequence) { return output->color ? sequence : ""; }

static cli_status fail_to_write(const cli_output *output, int number, cli_error *error) {
    if (number == ENOMEM) return cli_fail_memory(error);
    return cli_fail(error, CLI_OUTPUT, "cannot write %s: %s", output->name, strerror(number));
}

/* The permissions that a new file gets, or those of the one that it replaces. */
static mode_t file_mode(const struct stat *old) {
    if (old) return old->st_mode & 07777;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* Makes the file. No signal comes between that and knowing its name. */
static bool make_unfinished(cli_output *output, size_t size) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    output->fd = mkstemp(output->temporary);
    const int number = errno;
    if (output->fd >= 0 && size <= sizeof unfinished) {
        memcpy(unfinished, output->temporary, size);
        has_unfinished = 1;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = number;
    return output->fd >= 0;
}

static bool open_temporary(cli_output *output, const struct stat *old) {
    size_t size = strlen(output->target) + sizeof ".XXXXXX";
    output->temporary = malloc(size);
    if (!output->temporary) return false;
    snprintf(output->temporary, size, "%s.XXXXXX", output->target);
    if (!make_unfinished(output, size)) {
        int number = errno;
        free(output->temporary);
        output->temporary = NULL;
        errno = number;
        return false;
    }
    return fchmod(output->fd, file_mode(old)) == 0;
}

static bool open_file(cli_output *output, const char *path) {
    struct stat old;
    bool exists = stat(path, &old) == 0;
    if (exists && !S_ISREG(old.st_mode)) {
        output->fd = open(path, O_WRONLY | O_CLOEXEC);
        return output->fd >= 0;
    }
    /* A link stays one: what it points to is replaced. */
    output->target = exists ? realpath(path, NULL) : strdup(path);
    return output->target && open_temporary(output, exists ? &old : NULL);
}

cli_status cli_output_open(cli_output *output, const char *path, cli_color color, cli_error *error) {
    bool to_stdout = !path || strcmp(path, "-") == 0;
    memset(output, 0, offsetof(cli_output, buffer));
    output->name = to_stdout ? "standard output" : path;
    output->is_open = true;
    output->fd = STDOUT_FILENO;
    if (!to_stdout && !open_file(output, path)) {
        int number = errno;
        if (!output->temporary) output->fd = STDOUT_FILENO;
        cli_output_close(output);
        return fail_to_write(output, number, error);
    }
    output->is_terminal = isatty(output->fd);
    output->color = cli_color_wanted(color, output->fd);
    output->width = cli_terminal_width(output->fd);
    return CLI_OK;
}

static void write_all(cli_output *output, const char *data, size_t size) {
    while (size > 0 && !output->failure) {
        ssize_t written = write(output->fd, data, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            output->failure = errno;
            return;
        }
        data += written;
        size -= (size_t)written;
    }
}

static void empty_buffer(cli_output *output) {
    write_all(output, output->buffer, output->used);
    output->used = 0;
}

void cli_write(cli_output *output, const char *data, size_t size) {
    if (size > sizeof output->buffer - output->used) empty_buffer(output);
    if (size > sizeof output->buffer) {
        write_all(output, data, size);
    } else if (size > 0) {
        memcpy(output->buffer + output->used, data, size);
        output->used += size;
    }
}

void cli_write_string(cli_output *output, const char *string) { cli_write(output, string, strlen(string)); }

void cli_print(cli_output *output, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0) cli_write(output, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

cli_status cli_output_flush(cli_output *output, cli_error *error) {
    empty_buffer(output);
    if (!output->failure) return CLI_OK;
    if (output->failure == EPIPE) return CLI_PIPE;
    return fail_to_write(output, output->failure, error);
}

cli_status cli_output_patch(cli_output *output, const char *data, size_t size, size_t offset, cli_error *error) {
    cli_status status = cli_output_flush(output, error);
    while (status == CLI_OK && size > 0) {
        ssize_t written = pwrite(output->fd, data, size, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_to_write(output, errno, error);
        data += written;
        size -= (size_t)written;
        offset += (size_t)written;
    }
    return status;
}

cli_status cli_output_commit(cli_output *output, cli_error *error) {
    cli_status status = cli_output_flush(output, error);
    if (status != CLI_OK || !output->temporary) return status;
    /* Contents before name: a crash of the machine must not leave an empty file under it. */
    if (fsync(output->fd) != 0 || rename(output->temporary, output->target) != 0) {
        return fail_to_write(output, errno, error);
    }
    has_unfinished = 0;
    free(output->temporary);
    output->temporary = NULL;
    return CLI_OK;
}

void cli_output_close(cli_output *output) {
    if (!output->is_open) return;
    if (output->fd > STDOUT_FILENO) close(output->fd);
    if (output->temporary) unlink(output->temporary);
    has_unfinished = 0;
    free(output->temporary);
    free(output->target);
    output->target = output->temporary = NULL;
    output->is_open = false;
}
