/* config_fixture.h: bellwire.yaml from text in a folder of its own. '§' in a text stands in front of what is wrong: it is taken out, and is where the
 * error must be. */
#ifndef CONFIG_FIXTURE_H
#define CONFIG_FIXTURE_H
#include "config/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char folder[] = "/tmp/bellwire-config-XXXXXX";

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static inline const char *path_of(const char *name)
{
    static char path[4][200];
    static size_t next;
    char *out = path[next++ % 4];
    snprintf(out, 200, "%s/%s", folder, name);
    return out;
}

static inline void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static inline struct bw_config *load_text(const char *text, struct bw_errors *errs)
{
    write_file("bellwire.yaml", text, 0600);
    struct bw_config *config = bw_config_load(path_of("bellwire.yaml"), errs);
    unlink(path_of("bellwire.yaml"));
    return config;
}

static inline struct bw_config *load_good(const char *text)
{
    struct bw_errors errs = {0};
    char line[1400];
    struct bw_config *config = load_text(text, &errs);
    if (!config) fail_msg("%s\nis refused: %s", text, bw_error_text(&errs.items[0], line, sizeof line));
    assert_int_equal(errs.count, 0);
    return config;
}

struct refusal {
    const char *text, *code, *part; /* of message or hint */
};

static inline void assert_refused(const struct refusal *refusal)
{
    struct bw_errors errs = {0};
    const char *sign = strstr(refusal->text, "§");
    char text[2000];
    int line = 1, column = 1;
    assert_non_null(sign);
    for (const char *at = refusal->text; at < sign; at++) {
        column = *at == '\n' ? 1 : column + 1;
        line += *at == '\n';
    }
    snprintf(text, sizeof text, "%.*s%s", (int)(sign - refusal->text), refusal->text, sign + strlen("§"));
    struct bw_config *config = load_text(text, &errs);
    if (config || !errs.count) fail_msg("this must be refused:\n%s", text);
    const struct bw_error *err = &errs.items[0];
    if (strcmp(err->code, refusal->code) || err->line != line || err->column != column || strcmp(err->file, path_of("bellwire.yaml")) ||
        (!strstr(err->message, refusal->part) && !strstr(err->hint, refusal->part)))
        fail_msg("%s\nis refused as %s at %d:%d: %s (%s),\nnot as %s at %d:%d: %s", text, err->code, err->line, err->column, err->message, err->hint,
                 refusal->code, line, column, refusal->part);
    bw_errors_free(&errs);
}
#endif
