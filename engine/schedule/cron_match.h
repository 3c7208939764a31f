/* cron_match.h: which local minutes a rule names, without any zone. Between cron.c, cron_next.c and cron_match.c only. */
#ifndef BW_SCHEDULE_CRON_MATCH_H
#define BW_SCHEDULE_CRON_MATCH_H
#include "schedule/cron.h"

/* The first named minute in [from_s, until_s], in local seconds. */
bool bw_cron_match(const struct bw_cron *cron, int64_t from_s, int64_t until_s, int64_t *out_s);
uint64_t bw_cron_count(const struct bw_cron *cron, int64_t from_s, int64_t until_s); /* how many there are in [from_s, until_s] */
#endif
