/* wrap.c - breaks lines between words. Relies on the locale for the width of characters (utf8.h). */
#include "wrap.h"

#include "format.h"

#include <stdio.h>

enum { MOST_COLUMNS = 100, PROSE_INDENT = 2 };

static void put_word(cli_wrap *wrap, ce_text word) {
    const size_t limit = wrap->output->width < MOST_COLUMNS ? wrap->output->width : MOST_COLUMNS;
    const size_t columns = cli_plain_columns(word);
    const bool is_first = wrap->column <= wrap->indent;
    if (!is_first && wrap->column + 1 + columns > limit) {
        cli_wrap_end(wrap);
    } else if (!is_first) {
        cli_write_string(wrap->output, " ");
        wrap->column++;
    }
    if (wrap->column < wrap->indent) {
        cli_print(wrap->output, "%*s", (int)(wrap->indent - wrap->column), "");
        wrap->column = wrap->indent;
    }
    cli_write_plain(wrap->output, word, 0);
    wrap->column += columns;
}

void cli_wrap_words(cli_wrap *wrap, ce_text text) {
    for (size_t begin = 0, at = 0; at <= text.size; at++) {
        if (at < text.size && text.data[at] != ' ' && text.data[at] != '\n') continue;
        if (at > begin) put_word(wrap, (ce_text){text.data + begin, at - begin});
        begin = at + 1;
    }
}

void cli_wrap_end(cli_wrap *wrap) {
    if (wrap->column > 0) cli_write_string(wrap->output, "\n");
    wrap->column = 0;
}

/* Where the words of an entry begin: behind two blanks that follow its label; 0 if the line is prose. */
static size_t words_of_entry(ce_text line) {
    for (size_t i = PROSE_INDENT; i + 1 < line.size; i++) {
        if (line.data[i] != ' ' || line.data[i + 1] != ' ') continue;
        while (i < line.size && line.data[i] == ' ') i++;
        return i;
    }
    return 0;
}

static void write_title(cli_wrap *wrap, ce_text line) {
    cli_write_string(wrap->output, cli_style(wrap->output, CLI_BOLD));
    cli_write_plain(wrap->output, line, 0);
    cli_print(wrap->output, "%s\n", cli_style(wrap->output, CLI_RESET));
}

static void begin_entry(cli_wrap *wrap, ce_text line, size_t words) {
    cli_wrap_end(wrap);
    cli_write_plain(wrap->output, (ce_text){line.data, words}, 0);
    wrap->indent = wrap->column = words;
    cli_wrap_words(wrap, (ce_text){line.data + words, line.size - words});
}

static void write_section_line(cli_wrap *wrap, ce_text line) {
    const size_t blanks = strspn(line.data, " ");
    const size_t words = blanks == PROSE_INDENT ? words_of_entry(line) : 0;
    if (line.size == 0 || blanks == 0) {
        cli_wrap_end(wrap);
        wrap->indent = 0;
        if (line.size == 0)
            cli_write_string(wrap->output, "\n");
        else
            write_title(wrap, line);
    } else if (words > 0) {
        begin_entry(wrap, line, words);
    } else {
        if (blanks == PROSE_INDENT && wrap->indent != PROSE_INDENT) cli_wrap_end(wrap);
        if (blanks == PROSE_INDENT) wrap->indent = PROSE_INDENT;
        cli_wrap_words(wrap, line);
    }
}

void cli_write_sections(cli_output *output, const char *text) {
    cli_wrap wrap = {.output = output};
    while (*text) {
        const size_t size = strcspn(text, "\n");
        write_section_line(&wrap, (ce_text){text, size});
        text += size + (text[size] == '\n');
    }
    cli_wrap_end(&wrap);
}
