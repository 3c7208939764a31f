/* listen.h: the addresses of `listen`: http://HOST:PORT, https://HOST:PORT, unix:PATH or unix:PATH?mode=0660. */
#ifndef BW_CONFIG_LISTEN_H
#define BW_CONFIG_LISTEN_H
#include "config/config.h"
#include "config/keys.h"

/* node NULL: the one that is listened on without it. Reads config->folder, allow_plaintext and tls. */
void bw_listen_read(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_config *config);
void bw_listen_free(struct bw_listen *listen, size_t count);
bool bw_listen_is_loopback(const char *host); /* a numeric address that nobody reaches from elsewhere */
/* As it is written in the configuration. port: the real one; 0 = as configured. */
void bw_listen_append_url(struct bw_buf *out, const struct bw_listen *listen, uint16_t port);
#endif
