/* civil.h: dates of the proleptic Gregorian calendar as numbers, without time zones.
 *
 * A "local second" is what a clock on the wall shows, counted as if it stood in UTC: 1970-01-01T00:00:00 is 0, and two
 * readings of one clock can be compared and subtracted. Pure functions on plain values: no state, any thread, nothing fails.
 * Years from BW_CIVIL_YEAR_MIN to BW_CIVIL_YEAR_MAX; what lies outside is the caller's mistake, but overflows nothing
 * as long as the number of seconds is below 2^62. */
#ifndef BW_SCHEDULE_CIVIL_H
#define BW_SCHEDULE_CIVIL_H
#include <stdbool.h>
#include <stdint.h>

#define BW_CIVIL_YEAR_MIN 1
#define BW_CIVIL_YEAR_MAX 9999
#define BW_CIVIL_DAY_S 86400

struct bw_civil {
    int64_t year;
    int month, day;           /* from 1 */
    int hour, minute, second; /* 0-23, 0-59, 0-59: no leap seconds, as in Unix time */
};

int64_t bw_civil_days(int64_t year, int month, int day); /* since 1970-01-01; month 1-12, day may overflow into the next months */
int64_t bw_civil_seconds(const struct bw_civil *civil);  /* local seconds */
struct bw_civil bw_civil_of(int64_t local_s);
int bw_civil_weekday(int64_t days);                  /* 0 = Sunday; days since 1970-01-01 */
int bw_civil_days_in_month(int64_t year, int month); /* 28-31 */
bool bw_civil_is_leap(int64_t year);
/* Division that rounds towards minus infinity, for times before 1970. */
static inline int64_t bw_civil_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}
#endif
