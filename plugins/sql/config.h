/* config.h: the databases of `configure: {sql: …}`. Immutable after init(): any thread. */
#ifndef SQL_CONFIG_H
#define SQL_CONFIG_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sql_database_config {
    const char *name;
    const char *secret; /* PostgreSQL: the name of the secret that is its URL; NULL: it is a file */
    char *path;         /* SQLite */
    int pool;           /* connections at most */
    int64_t idle_ms;    /* one that nobody has used for so long is closed */
};
struct sql_config {
    json_t *json; /* owns the strings */
    struct sql_database_config *databases;
    size_t count;
};
/* False: error says what is wrong, with the cure. sql_config_free() in either case. */
bool sql_config_read(struct sql_config *config, const char *text, char *error, size_t error_size);
void sql_config_free(struct sql_config *config);
#endif
