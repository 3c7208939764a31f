/* test_files.h: the test files that `bellwire test` and `bellwire check` look at. */
#ifndef BW_CMD_TEST_FILES_H
#define BW_CMD_TEST_FILES_H
#include "trial/trial.h"

struct bw_test_files { /* zero-initialise; free with bw_test_files_free() */
    struct bw_trial_file **items;
    size_t count;
};
/* path: a file, or a folder with all that end in .test.yaml or .test.yml below it. Broken files are left out; errs says why. */
void bw_test_files_add(struct bw_test_files *files, const char *path, struct bw_errors *errs);
void bw_test_files_free(struct bw_test_files *files);
#endif
