#include "ingest/admission.h"

#define WAIT_MS 2000     /* an answer still comes in time for the least patient: Slack gives up after 3 s */
#define LOOKED_AT_MAX 32 /* of those who wait: some may have no room where others have it (load.h: the share of a source) */

static int64_t wait_us(const struct bw_loop *loop)
{
    int64_t most_ms = loop->ingest->options.config->request_deadline_ms / 2;
    return 1000 * (most_ms < WAIT_MS ? most_ms : WAIT_MS);
}

void bw_admission_wait(struct bw_connection *connection)
{
    struct bw_admission *admission = &connection->loop->admission;
    connection->is_waiting = true;
    connection->older = admission->newest;
    connection->newer = NULL;
    if (connection->older)
        connection->older->newer = connection;
    else
        admission->oldest = connection;
    admission->newest = connection;
}

void bw_admission_leave(struct bw_connection *connection)
{
    struct bw_admission *admission = &connection->loop->admission;
    if (!connection->is_waiting) return;
    connection->is_waiting = false;
    if (connection->newer)
        connection->newer->older = connection->older;
    else
        admission->newest = connection->older;
    if (connection->older)
        connection->older->newer = connection->newer;
    else
        admission->oldest = connection->newer;
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct bw_loop *loop = arg;
    (void)fd, (void)what;
    size_t looked_at = 0;
    for (struct bw_connection *connection = loop->admission.newest, *older; connection && looked_at < LOOKED_AT_MAX; connection = older) {
        older = connection->older; /* nothing below ends another connection than this one */
        if (!bw_intake_admit(connection)) looked_at++;
    }
}

void bw_admission_look(struct bw_loop *loop)
{
    if (loop->admission.newest) event_active(loop->admission.look, EV_TIMEOUT, 0);
}

/* Room that other loops have made is found here. */
void bw_admission_sweep(struct bw_loop *loop, int64_t now_us)
{
    bool is_draining = atomic_load(&loop->ingest->is_draining);
    const int64_t most_us = wait_us(loop);
    for (struct bw_connection *connection = loop->admission.oldest, *newer; connection; connection = newer) {
        newer = connection->newer;
        if (!is_draining && now_us - connection->since_us < most_us) break;
        bw_intake_admit(connection);
        if (connection->is_waiting) bw_intake_refuse_admission(connection);
    }
    bw_admission_look(loop);
}

bool bw_admission_open(struct bw_loop *loop)
{
    return (loop->admission.look = event_new(loop->base, -1, 0, on_look, loop));
}

void bw_admission_close(struct bw_loop *loop)
{
    if (loop->admission.look) event_free(loop->admission.look);
}
