#include "cmd/plugin_list.h"
#include "base/log.h"
#include "cmd/control.h"
#include "cmd/setup.h"
#include <stdio.h>
#include <string.h>

static bool is_well(const json_t *plugin)
{
    return !strcmp(bw_json_str(plugin, "state", ""), "ready") && strcmp(bw_json_str(plugin, "health", ""), "ill") != 0;
}

static void print_text(const json_t *plugin)
{
    const char *state = bw_json_str(plugin, "state", ""), *health = bw_json_str(plugin, "health", NULL);
    char at[32];
    printf("%-20s %-10s %-8s %5lld calls", bw_json_str(plugin, "plugin", ""), bw_json_str(plugin, "version", ""),
           health && !strcmp(state, "ready") ? health : state, (long long)bw_json_int(plugin, "calls", 0));
    if (health && !strcmp(health, "ill"))
        printf("  since %s: %s (%s)", bw_print_time(bw_json_int(plugin, "since_ms", 0), at), bw_json_str(plugin, "message", ""),
               bw_json_str(plugin, "code", ""));
    putchar('\n');
}

int bw_plugin_list(const struct bw_config *config, bool as_json)
{
    json_t *request = json_pack("{s:s}", "do", "plugins.list"), *answer = NULL, *plugin;
    struct bw_error err;
    size_t index;
    int status = 0;
    if (!bw_control_ask(config->data, request, &answer, &err)) {
        bw_print_error("plugin list", &err);
        status = 1;
    }
    json_array_foreach(json_object_get(answer, "plugins"), index, plugin)
    {
        struct bw_buf line = {0};
        if (!is_well(plugin)) status = 1;
        if (as_json) {
            bw_json_append(&line, plugin);
            bw_print_line(&line);
        } else {
            print_text(plugin);
        }
    }
    json_decref(request);
    json_decref(answer);
    return status;
}
