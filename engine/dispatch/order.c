#include "dispatch/order.h"
#include <stddef.h>

bool bw_order_is_turn_of(const struct bw_order *order, const void *worker)
{
    return !order->looker || order->looker == worker;
}

int64_t bw_order_ask(struct bw_order *order)
{
    return order->question = ++order->questions;
}

void bw_order_given(struct bw_order *order, const void *worker)
{
    order->looker = worker;
    order->question = 0; /* its answer would not be about this event */
}

bool bw_order_answered(struct bw_order *order, const void *worker, int64_t question)
{
    if (order->looker != worker || !question || order->question != question) return false;
    order->looker = NULL;
    order->question = 0;
    return true;
}

void bw_order_ended(struct bw_order *order, const void *worker)
{
    if (order->looker != worker) return;
    order->looker = NULL;
    order->question = 0;
}
