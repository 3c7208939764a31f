#include "cmd/test_files.h"
#include "base/file.h"
#include <stdlib.h>
#include <sys/stat.h>

static void add_file(struct bw_test_files *files, const char *path, struct bw_errors *errs)
{
    struct bw_trial_file **grown = realloc(files->items, (files->count + 1) * sizeof *grown);
    struct bw_trial_file *file = grown ? bw_trial_file_load(path, errs) : NULL;
    if (grown) files->items = grown;
    if (file) files->items[files->count++] = file;
}

void bw_test_files_add(struct bw_test_files *files, const char *path, struct bw_errors *errs)
{
    static const char *const suffixes[] = {".test.yaml", ".test.yml"};
    struct stat info;
    if (stat(path, &info) || !S_ISDIR(info.st_mode)) {
        add_file(files, path, errs);
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        char **names = NULL;
        size_t count = 0;
        struct bw_error err;
        if (!bw_file_list(path, suffixes[i], true, &names, &count, &err)) bw_errors_push(errs, &err);
        for (size_t k = 0; k < count; k++) {
            char *joined = bw_file_join(path, names[k]);
            if (joined) add_file(files, joined, errs);
            free(joined);
        }
        bw_file_list_free(names, count);
    }
}

void bw_test_files_free(struct bw_test_files *files)
{
    for (size_t i = 0; i < files->count; i++) bw_trial_file_free(files->items[i]);
    free(files->items);
}
