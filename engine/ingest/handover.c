#include "ingest/handover.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/conclude.h"
#include "ingest/parked.h"
#include "source/learnt.h"
#include "store/handover.h"
#include <openssl/crypto.h>
#include <stdlib.h>

struct handover {
    struct bw_loop_mail mail;
    struct bw_store_op op;
    struct bw_handover wish;
    struct bw_parked parked;
    struct bw_learnt *learnt;
    const char *source, *secret; /* NUL-terminated */
    unsigned status;
    const char *type;
    struct bw_slice body, headers; /* of the answer */
    size_t size;
    char bytes[];
};

/* Writer thread: whoever is judged from now on is judged with it. */
static void on_done(struct bw_store_op *op)
{
    struct handover *handover = op->owner;
    if (!op->failed && !handover->wish.refusal)
        bw_learnt_set_secret(handover->learnt, handover->source, handover->secret, handover->wish.value, op->now_ms);
    bw_mailbox_post(handover->parked.connection->loop->mailbox, &handover->mail.mail);
}

static void on_recorded(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    struct handover *handover = (struct handover *)((char *)mail - offsetof(struct handover, mail));
    struct bw_delivery *delivery = &handover->op.delivery;
    struct bw_reply reply;
    if (handover->op.failed) {
        bw_reply_refuse(&reply, 503);
        delivery->outcome = BW_OUTCOME_OVERLOADED;
        delivery->detail = bw_slice_of(handover->op.error.code);
    } else if (handover->wish.refusal) {
        bw_reply_refuse(&reply, 401);
        delivery->outcome = BW_OUTCOME_UNVERIFIED;
        delivery->detail = bw_slice_of(handover->wish.refusal);
    } else {
        bw_reply_bytes(&reply, handover->status, handover->type, handover->body);
        reply.headers = handover->headers;
        bw_log(BW_LOG_INFO, "source.learnt", BW_STR("source", handover->source), BW_STR("secret", handover->secret),
               BW_SLC("remote", delivery->remote));
    }
    delivery->status = reply.status;
    bw_conclude_log(delivery, NULL, bw_clock_mono_us() - handover->parked.submitted_us);
    bw_parked_answer(&handover->parked, &reply);
    OPENSSL_cleanse(handover->bytes, handover->size);
    free(handover);
    bw_loop_end_if_done(loop);
}

static const char *put_text(char **at, const char *text)
{
    const char *copy = bw_parked_put(at, bw_slice_of(text)).ptr;
    *(*at)++ = '\0';
    return copy;
}

void bw_handover(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement)
{
    const struct bw_loop *loop = connection->loop;
    const struct bw_request *from = &loop->parts.request;
    const char *source = route->settings->name, *secret = judgement->captured_name;
    struct bw_slice remote = bw_slice_of(loop->client.text);
    size_t size =
        strlen(source) + strlen(secret) + 2 + judgement->captured.len + remote.len + judgement->answer_body.len + judgement->answer_headers.len;
    struct handover *handover = bw_learnt_reserve(from->learnt, source) ? malloc(sizeof *handover + size) : NULL;
    if (!handover) {
        bw_conclude_refused(connection, route, 503, BW_OUTCOME_OVERLOADED, "no memory");
        return;
    }
    char *at = handover->bytes;
    bw_log_redact(secret, judgement->captured);
    *handover = (struct handover){
        .mail.run = on_recorded, .learnt = from->learnt, .status = judgement->answer_status, .type = judgement->answer_type, .size = size};
    handover->source = put_text(&at, source);
    handover->secret = put_text(&at, secret);
    handover->body = bw_parked_put(&at, judgement->answer_body);
    handover->headers = bw_parked_put(&at, judgement->answer_headers);
    remote = bw_parked_put(&at, remote);
    handover->wish = (struct bw_handover){.verb = BW_HANDOVER_TAKE,
                                          .source = bw_slice_of(handover->source),
                                          .actor = remote,
                                          .secret = bw_slice_of(handover->secret),
                                          .value = bw_parked_put(&at, judgement->captured)};
    handover->op = (struct bw_store_op){.kind = BW_OP_HANDOVER,
                                        .done = on_done,
                                        .owner = handover,
                                        .now_ms = from->now_ms,
                                        .handover = &handover->wish,
                                        .delivery = {.at_ms = from->now_ms,
                                                     .source = handover->wish.source,
                                                     .status = judgement->answer_status,
                                                     .outcome = BW_OUTCOME_HANDSHAKE,
                                                     .remote = remote,
                                                     .detail = BW_SLICE("its secret was handed over"),
                                                     .bytes = (uint32_t)from->body.len}};
    bw_parked_submit(&handover->parked, connection, route, &handover->op);
}
