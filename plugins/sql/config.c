#include "config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A plain name: the folder is what the process may open, and nothing leads out of it. */
static bool is_plain(const char *file)
{
    return *file && *file != '.' && !strchr(file, '/');
}

static bool read_file(struct sql_database_config *database, const char *file, const char *folder, char *error, size_t size)
{
    size_t len = folder ? strlen(folder) + strlen(file) + 2 : 0;
    if (!folder || *folder != '/') {
        snprintf(error, size, "database '%s' is a file: name its folder, from the root, as configure: {sql: {folder: /PATH}}", database->name);
        return false;
    }
    if (!is_plain(file)) {
        snprintf(error, size, "file '%s' of database '%s' must be the name of a file in %s", file, database->name, folder);
        return false;
    }
    if (!(database->path = malloc(len))) return false;
    snprintf(database->path, len, "%s/%s", folder, file);
    return true;
}

static bool read_database(const struct sql_config *config, size_t index, const json_t *from, const char *folder, char *error, size_t size)
{
    struct sql_database_config *database = &config->databases[index];
    const char *file = json_string_value(json_object_get(from, "file"));
    const json_t *pool = json_object_get(from, "pool"), *idle = json_object_get(from, "idle_s");
    database->name = json_string_value(json_object_get(from, "name"));
    database->secret = json_string_value(json_object_get(json_object_get(from, "url"), "secret"));
    database->pool = pool ? (int)json_integer_value(pool) : 10;
    database->idle_ms = (idle ? json_integer_value(idle) : 60) * 1000;
    if (!database->name || !*database->name) {
        snprintf(error, size, "database %zu has no name", index + 1);
        return false;
    }
    for (size_t i = 0; i < index; i++)
        if (!strcmp(config->databases[i].name, database->name)) {
            snprintf(error, size, "there are two databases with the name '%s'", database->name);
            return false;
        }
    if (!file == !database->secret) {
        snprintf(error, size, "database '%s' needs either url: {secret: NAME} (PostgreSQL) or file: NAME (SQLite)", database->name);
        return false;
    }
    return !file || read_file(database, file, folder, error, size);
}

bool sql_config_read(struct sql_config *config, const char *text, char *error, size_t error_size)
{
    json_error_t where;
    *config = (struct sql_config){.json = json_loads(text, 0, &where)};
    const json_t *list = json_object_get(config->json, "databases");
    size_t count = json_array_size(list);
    snprintf(error, error_size, "out of memory");
    if (!count) {
        snprintf(error, error_size, "no database is configured: write configure: {sql: {databases: [{name: main, url: {secret: NAME}}]}}");
        return false;
    }
    if (!(config->databases = calloc(count, sizeof *config->databases))) return false;
    config->count = count;
    for (size_t i = 0; i < count; i++)
        if (!read_database(config, i, json_array_get(list, i), json_string_value(json_object_get(config->json, "folder")), error, error_size))
            return false;
    return true;
}

void sql_config_free(struct sql_config *config)
{
    for (size_t i = 0; i < config->count; i++) free(config->databases[i].path);
    free(config->databases);
    json_decref(config->json);
    *config = (struct sql_config){0};
}
