#include "base/suggest.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "source/source.h"
#include <stdio.h>
#include <string.h>

static bool show(const struct bw_schemes *schemes, const char *name, bool as_json)
{
    const struct bw_scheme *scheme = bw_schemes_find(schemes, name);
    struct bw_buf text = {0};
    if (!scheme) {
        const char *names[512];
        size_t count = 0;
        for (; count < bw_schemes_count(schemes) && count < 512; count++) names[count] = bw_schemes_name(schemes, count);
        const char *near = bw_suggest(bw_slice_of(name), names, count);
        fprintf(stderr,
                near ? "bellwire schemes: there is no scheme '%s'; did you mean '%s'?\n"
                     : "bellwire schemes: there is no scheme '%s'; see: bellwire schemes\n",
                name, near);
        return false;
    }
    if (as_json) {
        json_t *facts = bw_scheme_facts(scheme);
        bw_json_append(&text, facts);
        json_decref(facts);
        bw_print_line(&text);
    } else {
        bw_scheme_describe(scheme, &text);
        fwrite(text.data ? text.data : "", 1, text.len, stdout);
        bw_buf_free(&text);
    }
    return true;
}

static int schemes_main(int argc, char **argv)
{
    const char *config_path = NULL;
    bool as_json = false;
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "json", .flag = &as_json}};
    int first, status = bw_options_parse(&bw_command_schemes, argc, argv, options, 2, &first);
    struct bw_errors errs = {0};
    struct bw_config *config;
    struct bw_schemes *schemes;

    if (status >= 0) return status;
    if (argc > first && !strcmp(argv[first], "show")) first++;
    if (!(config = bw_setup_config("schemes", config_path))) return 1;
    schemes = bw_schemes_load(config->schemes, &errs);
    bw_print_errors(&errs, false);
    status = errs.count ? 1 : 0;
    if (argc > first) status |= !show(schemes, argv[first], as_json);
    for (size_t i = 0; argc == first && i < bw_schemes_count(schemes); i++) {
        const struct bw_scheme *scheme = bw_schemes_at(schemes, i);
        if (!scheme) {
            status = 1; /* the log says why */
        } else if (as_json) {
            struct bw_buf line = {0};
            bw_buf_append_text(&line, "{\"scheme\":");
            bw_buf_append_json_string(&line, bw_slice_of(bw_scheme_name(scheme)));
            bw_buf_append_text(&line, ",\"doc\":");
            bw_buf_append_json_string(&line, bw_slice_of(bw_scheme_doc(scheme)));
            bw_buf_append_char(&line, '}');
            bw_print_line(&line);
        } else {
            printf("%-20s %s\n", bw_scheme_name(scheme), bw_scheme_doc(scheme));
        }
    }
    bw_schemes_free(schemes);
    bw_errors_free(&errs);
    bw_config_free(config);
    return status;
}

const struct bw_command bw_command_schemes = {
    .name = "schemes",
    .summary = "list the providers whose signatures can be verified, or show one",
    .usage = "usage: bellwire schemes [--json] [--config FILE]\n"
             "       bellwire schemes show NAME [--json]\n\n"
             "Lists what a source's `verify:` can name; with a name, shows which secrets it wants and where they are found, what is signed, what is\n"
             "deduped, what names the event, and which handshakes it answers.\n\n"
             "example: bellwire schemes show github\n",
    .run = schemes_main,
};
