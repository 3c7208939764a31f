/* order.h: what one call wants to be run: its program, arguments, environment and input, as the kernel takes them. */
#ifndef EXEC_ORDER_H
#define EXEC_ORDER_H
#include "bellwire_plugin.h"
#include "config.h"

enum exec_as { EXEC_TEXT, EXEC_JSON, EXEC_BASE64 };
struct exec_order {
    const struct exec_program *program;
    char **argv, **environment; /* NULL-terminated, owned */
    char *input;                /* NULL: it has none */
    char **files;               /* NULL-terminated, made for this call, and removed with it */
    size_t input_len;
    enum exec_as as;
    json_t *ok_codes;
    json_t *messages; /* of exec/rpc; NULL: it is exec/run */
};
/* False: code and reason say why; there is nothing to free. */
bool exec_order_make(struct exec_order *order, const struct exec_config *config, const struct bw_plugin_host *host, const struct bw_plugin_call *call,
                     const char **code, char *reason, size_t size);
bool exec_order_is_ok(const struct exec_order *order, int exit_status);
void exec_order_free(struct exec_order *order);
#endif
