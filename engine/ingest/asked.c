#include "ingest/asked.h"
#include "ingest/connections.h"

/* Whoever moves it away from ASKED decides: the main thread (then its mail to the loop follows) or the loop that must end (then the main thread
 * frees it, whenever it comes to it). */
enum { ASKED, TOLD, ABANDONED };

bool bw_asked_enter(struct bw_loop *loop)
{
    if (atomic_fetch_add(&loop->ingest->asked, 1) < BW_ASKED_MAX && !loop->is_stopping) return true;
    bw_asked_leave(loop);
    return false;
}

void bw_asked_leave(struct bw_loop *loop)
{
    atomic_fetch_sub(&loop->ingest->asked, 1);
}

static void link_in(struct bw_asked *asked)
{
    struct bw_loop *loop = asked->connection->loop;
    asked->previous = NULL;
    asked->next = loop->asked;
    if (asked->next) asked->next->previous = asked;
    loop->asked = asked;
}

static void unlink_from(struct bw_asked *asked)
{
    if (asked->previous)
        asked->previous->next = asked->next;
    else
        asked->connection->loop->asked = asked->next;
    if (asked->next) asked->next->previous = asked->previous;
}

static void on_told(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    struct bw_asked *asked = (struct bw_asked *)((char *)mail - offsetof(struct bw_asked, mail));
    unlink_from(asked);
    bw_asked_leave(loop);
    asked->kind->answer(asked->connection, asked, asked->wants_json);
    asked->kind->free(asked);
    bw_loop_end_if_done(loop);
}

void bw_asked_wait(struct bw_asked *asked)
{
    asked->mail.run = on_told;
    link_in(asked);
}

void bw_asked_told(struct bw_asked *asked)
{
    int expected = ASKED;
    if (atomic_compare_exchange_strong(&asked->state, &expected, TOLD))
        bw_mailbox_post(asked->connection->loop->mailbox, &asked->mail.mail);
    else
        asked->kind->free(asked);
}

void bw_asked_end_all(struct bw_loop *loop)
{
    for (struct bw_asked *asked = loop->asked, *next; asked; asked = next) {
        const struct bw_asked_kind *kind = asked->kind;
        struct bw_connection *connection = asked->connection;
        bool wants_json = asked->wants_json;
        int expected = ASKED;
        next = asked->next;
        unlink_from(asked); /* before it is given away: from then on the main thread may free it */
        if (!atomic_compare_exchange_strong(&asked->state, &expected, ABANDONED)) {
            link_in(asked); /* its mail is on the way */
            continue;
        }
        bw_asked_leave(loop);
        kind->answer(connection, NULL, wants_json);
    }
}
