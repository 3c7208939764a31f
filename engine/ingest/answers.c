/* Answers leave at once, in one system call each: nearly every one fits into its socket. What does not is kept until there is room, and the
 * connection reads no other request before that. */
#include "base/clock.h"
#include "ingest/connections.h"

#define REQUESTS_MAX 1000 /* of one connection; then it is closed, and who wants more comes again */

/* All that was to be written is. */
static void has_written(struct bw_connection *connection)
{
    if (connection->is_last)
        bw_connection_end(connection, true);
    else
        bw_intake_resume(connection);
}

static void keep(struct bw_connection *connection, struct bw_slice rest)
{
    bw_buf_append_slice(&connection->output, rest);
    if (connection->output.failed || event_add(&connection->writable, NULL))
        bw_connection_end(connection, false); /* no memory: half an answer is none */
}

static void write_out(struct bw_connection *connection, struct bw_slice bytes)
{
    ssize_t len = bw_connection_is_written(connection) ? bw_stream_write(&connection->stream, bytes.ptr, bytes.len) : BW_STREAM_LATER;
    if (len == BW_STREAM_BROKEN) {
        bw_connection_end(connection, false);
        return;
    }
    size_t written = len > 0 ? (size_t)len : 0;
    if (written < bytes.len) keep(connection, (struct bw_slice){bytes.ptr + written, bytes.len - written});
}

void bw_connection_write(struct bw_connection *connection)
{
    struct bw_buf *output = &connection->output;
    if (bw_connection_is_written(connection)) return;
    ssize_t len = bw_stream_write(&connection->stream, output->data + connection->written, output->len - connection->written);
    if (len == BW_STREAM_BROKEN) {
        bw_connection_end(connection, false);
        return;
    }
    if (len > 0) connection->written += (size_t)len;
    if (connection->written < output->len) {
        if (event_add(&connection->writable, NULL)) bw_connection_end(connection, false);
        return;
    }
    bw_buf_free(output);
    connection->written = 0;
    has_written(connection);
}

void bw_connection_continue(struct bw_connection *connection)
{
    write_out(connection, BW_SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

void bw_connection_answer(struct bw_connection *connection, struct bw_reply *reply)
{
    struct bw_loop *loop = connection->loop;
    struct bw_inbound *inbound = &connection->inbound;
    connection->is_busy = false;
    connection->on_ended = NULL;
    if (connection->is_gone) {
        bw_connection_free_later(connection);
        return;
    }
    connection->handled++;
    connection->since_us = connection->arrived_us = bw_clock_mono_us();
    connection->unsent_us = 0;
    bw_intake_release(connection);
    bool is_draining = atomic_load_explicit(&loop->ingest->is_draining, memory_order_relaxed);
    reply->closes = reply->closes || inbound->closes || is_draining || connection->handled >= REQUESTS_MAX;
    connection->is_last = reply->closes;
    bw_buf_clear(&loop->answer);
    bw_reply_append(&loop->answer, reply, &(struct bw_reply_to){.is_head = inbound->is_head, .keeps = inbound->is_http10}, bw_clock_wall_ms());
    if (!connection->is_in_intake) bw_inbound_clear(inbound);
    if (loop->answer.failed) {
        bw_connection_end(connection, false);
        return;
    }
    write_out(connection, bw_buf_slice(&loop->answer));
    if (!connection->is_gone && bw_connection_is_written(connection)) has_written(connection);
}
