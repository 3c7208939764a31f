/* http_peer.h: an evhttp as the engine sets it up, over a socket of this process: bytes in, requests out. Opened once; one connection at a time. */
#ifndef BW_FUZZ_HTTP_PEER_H
#define BW_FUZZ_HTTP_PEER_H
#include "http_model.h"

void http_peer_open(void); /* aborts when it cannot: nothing can be tested then */
/* Sends these bytes over a new connection and calls `seen` for each request that evhttp makes of them; `number` counts from 0. Returns how many. */
size_t http_peer_send(struct bw_slice bytes, void (*seen)(void *arg, size_t number, const struct http_request *request), void *arg);
#endif
