#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool exec_is_variable(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == '=') return false;
    return len > 0;
}

/* Said now and not by the first step that needs it. What this process may not read, the program could not be started from either. */
static bool check_file(const struct exec_program *program, char *reason, size_t size)
{
    struct stat info;
    int fd;
    if (*program->path != '/')
        snprintf(reason, size, "programs: %s: run must begin with a path from the root, found '%.200s'", program->name, program->path);
    else if (stat(program->path, &info))
        snprintf(reason, size, "programs: %s: %.200s: %s", program->name, program->path, strerror(errno));
    else if (!S_ISREG(info.st_mode) || access(program->path, X_OK))
        snprintf(reason, size, "programs: %s: %.200s is no program that the engine's user may run (chmod +x)", program->name, program->path);
    else if ((fd = open(program->path, O_RDONLY | O_CLOEXEC)) < 0)
        snprintf(reason, size, "programs: %s: %.200s cannot be read: %s; add its folder to configure.exec.reads", program->name, program->path,
                 strerror(errno));
    else
        return close(fd) == 0;
    return false;
}

static bool check_variables(const struct exec_program *program, char *reason, size_t size)
{
    const char *name, *wrong = NULL;
    json_t *value;
    size_t index;
    json_object_foreach((json_t *)program->environment, name, value)
    {
        if (!exec_is_variable(name) || !json_is_string(value)) wrong = name;
    }
    json_array_foreach(program->secrets, index, value) if (!exec_is_variable(text_of(value, "name"))) wrong = text_of(value, "name");
    json_array_foreach(program->accepts, index, value) if (!exec_is_variable(json_string_value(value))) wrong = json_string_value(value);
    if (wrong) snprintf(reason, size, "programs: %s: '%.100s' is no variable of an environment with a text", program->name, wrong);
    return !wrong;
}

static bool read_program(struct exec_config *config, size_t index, const json_t *from, char *reason, size_t size)
{
    struct exec_program *program = &config->programs[index];
    *program = (struct exec_program){.name = text_of(from, "name"),
                                     .path = json_string_value(json_array_get(json_object_get(from, "run"), 0)),
                                     .folder = text_of(from, "dir"),
                                     .first = json_object_get(from, "run"),
                                     .environment = json_object_get(from, "env"),
                                     .secrets = json_object_get(from, "secrets"),
                                     .accepts = json_object_get(from, "accepts")};
    for (size_t i = 0; i < index; i++)
        if (!strcmp(config->programs[i].name, program->name)) {
            snprintf(reason, size, "programs: there are two with the name %.100s", program->name);
            return false;
        }
    if (!program->path) {
        snprintf(reason, size, "programs: %s: run is empty: it holds the program's path, and what it is always given", program->name);
        return false;
    }
    if (program->folder && *program->folder != '/') {
        snprintf(reason, size, "programs: %s: dir must be a path from the root", program->name);
        return false;
    }
    return check_file(program, reason, size) && check_variables(program, reason, size);
}

bool exec_config_read(struct exec_config *config, const char *text, char *reason, size_t size)
{
    const json_t *programs;
    json_t *from;
    size_t index;
    snprintf(reason, size, "out of memory");
    if (!(config->json = json_loads(text, 0, NULL))) return false;
    programs = json_object_get(config->json, "programs");
    config->count = json_array_size(programs);
    config->at_once = (size_t)json_integer_value(json_object_get(config->json, "at_once"));
    config->output_bytes = (size_t)json_integer_value(json_object_get(config->json, "output_bytes"));
    config->grace_ms = (int)json_integer_value(json_object_get(config->json, "grace_s")) * 1000;
    if (!(config->programs = calloc(config->count + 1, sizeof *config->programs))) return false;
    json_array_foreach(programs, index, from) if (!read_program(config, index, from, reason, size)) return false;
    return true;
}

void exec_config_free(struct exec_config *config)
{
    free(config->programs);
    json_decref(config->json);
    *config = (struct exec_config){0};
}

const struct exec_program *exec_config_find(const struct exec_config *config, const char *name, char *known, size_t size)
{
    size_t used = 0;
    *known = '\0';
    for (size_t i = 0; i < config->count; i++) {
        if (!strcmp(config->programs[i].name, name)) return &config->programs[i];
        if (used + strlen(config->programs[i].name) + 3 > size) continue;
        used += (size_t)snprintf(known + used, size - used, "%s%s", used ? ", " : "", config->programs[i].name);
    }
    return NULL;
}
