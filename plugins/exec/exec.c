/* exec/run@1: a program of this machine, by its arguments, never by a shell. README.md says what a user may expect. */
#include "config.h"
#include "job.h"
#include "order.h"
#include <stdlib.h>

#define PROGRAM                                                                                                                             \
    "\"name\":{\"type\":\"string\",\"required\":true,\"doc\":\"what steps call it\"},"                                                      \
    "\"run\":{\"type\":\"array\",\"required\":true,\"items\":{\"type\":\"string\"},\"doc\":\"its path from the root, and what it is given " \
    "before the arguments of a step\"},"                                                                                                    \
    "\"dir\":{\"type\":\"string\",\"doc\":\"the folder that it is started in; the root if it is left out\"},"                               \
    "\"env\":{\"type\":\"object\",\"doc\":\"variables, name to text, beside PATH, HOME and LANG\"},"                                        \
    "\"secrets\":{\"type\":\"array\",\"doc\":\"variables that are secrets\",\"items\":{\"type\":\"object\",\"properties\":{"                \
    "\"name\":{\"type\":\"string\",\"required\":true},\"value\":{\"type\":\"string\",\"required\":true,\"secret\":true}}}},"                \
    "\"accepts\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"doc\":\"names of variables that a step may set\"},"                  \
    "\"doc\":{\"type\":\"string\",\"doc\":\"for people\"}"

#define CONFIG                                                                                                                               \
    "\"config\":{\"programs\":{\"type\":\"array\",\"required\":true,\"max_items\":1000,\"doc\":\"those that may be run, and no others\","    \
    "\"items\":{\"type\":\"object\",\"properties\":{" PROGRAM "}}},"                                                                         \
    "\"reads\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"doc\":\"files and folders beside /usr and /opt that programs may read " \
    "and run\"},"                                                                                                                            \
    "\"files\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"doc\":\"files and folders that they may change as well; [/]: all that " \
    "the engine's user may\"},"                                                                                                              \
    "\"network\":{\"type\":\"boolean\",\"default\":false,\"doc\":\"may they connect to others?\"},"                                          \
    "\"unix\":{\"type\":\"boolean\",\"default\":false,\"doc\":\"may they use Unix sockets, such as Docker's?\"},"                            \
    "\"at_once\":{\"type\":\"integer\",\"default\":16,\"min\":1,\"max\":1000,\"doc\":\"so many run at once, others wait\"},"                 \
    "\"output_bytes\":{\"type\":\"integer\",\"default\":262144,\"min\":1024,\"max\":4194304,\"doc\":\"so much is kept of stdout, its "       \
    "beginning, and of stderr, its end\"},"                                                                                                  \
    "\"grace_s\":{\"type\":\"integer\",\"default\":5,\"min\":0,\"max\":9,\"doc\":\"between SIGTERM and SIGKILL when a run is cancelled\"}},"

static const char manifest[] =
    "{\"name\":\"exec\",\"version\":\"1.0.0\",\"doc\":\"Programs of this machine\","
    "\"needs\":[\"exec\",\"groups\",\"network:$network\",\"unix:$unix\",\"files:$files\",\"reads:$reads\"]," CONFIG "\"actions\":["
    "{\"name\":\"exec/run\",\"effect\":\"write\",\"timeout\":\"10m\",\"retry\":{\"attempts\":1},"
    "\"doc\":\"Run one of the programs that are configured, without a shell, and wait for its end.\",\"inputs\":{"
    "\"program\":{\"type\":\"string\",\"required\":true,\"doc\":\"one of configure.exec.programs\"},"
    "\"args\":{\"type\":\"array\",\"default\":[],\"max_items\":10000,\"doc\":\"texts as they are, all else as JSON: each one argument, whatever is "
    "in "
    "it\"},"
    "\"env\":{\"type\":\"object\",\"default\":{},\"doc\":\"variables that the program accepts\"},"
    "\"files\":{\"type\":\"object\",\"default\":{},\"doc\":\"variables that the program accepts, each the path of a file with this content: a text "
    "as "
    "it is, all else as JSON\"},"
    "\"stdin\":{\"type\":\"any\",\"doc\":\"a text as it is, all else as JSON; left out: nothing\"},"
    "\"as\":{\"type\":\"string\",\"default\":\"text\",\"enum\":[\"text\",\"json\",\"base64\"],\"doc\":\"what its stdout is\"},"
    "\"ok_codes\":{\"type\":\"array\",\"default\":[0],\"items\":{\"type\":\"integer\",\"min\":0,\"max\":255},\"doc\":\"exit statuses that are a "
    "success\"}},"
    "\"outputs\":{\"code\":{\"type\":\"integer\",\"doc\":\"its exit status\"},\"stdout\":{\"type\":\"string\"},"
    "\"json\":{\"type\":\"any\",\"doc\":\"with as: json\"},\"stderr\":{\"type\":\"string\"},"
    "\"is_cut\":{\"type\":\"boolean\",\"doc\":\"there was more of stdout or stderr than is kept\"}}},"
    "{\"name\":\"exec/rpc\",\"effect\":\"write\",\"timeout\":\"10m\",\"retry\":{\"attempts\":1},"
    "\"doc\":\"Start one of the programs that are configured, and speak JSON-RPC with it over its standard streams, a message a line.\",\"inputs\":{"
    "\"program\":{\"type\":\"string\",\"required\":true,\"doc\":\"one of configure.exec.programs\"},"
    "\"args\":{\"type\":\"array\",\"default\":[],\"max_items\":10000,\"doc\":\"as of exec/run\"},"
    "\"env\":{\"type\":\"object\",\"default\":{},\"doc\":\"variables that the program accepts\"},"
    "\"messages\":{\"type\":\"array\",\"required\":true,\"max_items\":100,\"items\":{\"type\":\"object\"},\"doc\":\"requests and notifications, "
    "in turn: after a request its answer is waited for, and an error ends the dialogue\"}},"
    "\"outputs\":{\"answers\":{\"type\":\"array\",\"items\":{\"type\":\"object\"},\"doc\":\"those of the requests\"}}}]}";

struct exec {
    const struct bw_plugin_host *host;
    struct exec_config config;
    struct exec_jobs *jobs;
};

static void exec_fini(void *instance)
{
    struct exec *exec = instance;
    exec_jobs_free(exec->jobs);
}

static void *exec_init(const struct bw_plugin_host *host, const char *config, char *error, size_t error_size)
{
    struct exec *exec = calloc(1, sizeof *exec);
    if (exec) exec->host = host;
    if (exec && exec_config_read(&exec->config, config, error, error_size) && (exec->jobs = exec_jobs_new(host, &exec->config))) return exec;
    if (exec) exec_config_free(&exec->config);
    free(exec);
    return NULL;
}

static void exec_execute(void *instance, struct bw_plugin_call *call)
{
    const struct exec *exec = instance;
    struct exec_order order;
    const char *code = "exec.input";
    char reason[500] = "";
    if (exec_order_make(&order, &exec->config, exec->host, call, &code, reason, sizeof reason))
        exec_jobs_submit_take(exec->jobs, call, &order);
    else
        exec->host->complete(
            exec->host, call,
            &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_FAIL, .code = code, .message = reason});
}

static void exec_cancel(void *instance, struct bw_plugin_call *call)
{
    const struct exec *exec = instance;
    exec_jobs_cancel(exec->jobs, call);
}

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
    .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = manifest,
    .init = exec_init,
    .execute = exec_execute,
    .cancel = exec_cancel,
    .fini = exec_fini,
};
