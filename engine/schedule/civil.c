#include "schedule/civil.h"

/* Both ways count in years that begin on 1 March: then the leap day is the last day of its year, and the months from March
 * on have 31 30 31 30 31 | 31 30 31 30 31 | 31 … days, which (153 m + 2) / 5 adds up for month m = 0 (March) to 11. */
enum { MARCH_1_YEAR_0 = -719468, DAYS_4Y = 1461, DAYS_100Y = 36524, DAYS_400Y = 146097 };

bool bw_civil_is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int bw_civil_days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && bw_civil_is_leap(year) ? 29 : days[month - 1];
}

int64_t bw_civil_days(int64_t year, int month, int day)
{
    if (month < 3) year--;
    int64_t cycle = bw_civil_floor_div(year, 400), y = year - cycle * 400;
    int64_t from_march = (153 * (month < 3 ? month + 9 : month - 3) + 2) / 5;
    return MARCH_1_YEAR_0 + cycle * DAYS_400Y + y * 365 + y / 4 - y / 100 + from_march + day - 1;
}

int bw_civil_weekday(int64_t days)
{
    int64_t since_thursday = days - bw_civil_floor_div(days, 7) * 7; /* 1970-01-01 was a Thursday */
    return (int)((since_thursday + 4) % 7);
}

int64_t bw_civil_seconds(const struct bw_civil *civil)
{
    int of_day = civil->hour * 3600 + civil->minute * 60 + civil->second;
    return bw_civil_days(civil->year, civil->month, civil->day) * BW_CIVIL_DAY_S + of_day;
}

struct bw_civil bw_civil_of(int64_t local_s)
{
    int64_t days = bw_civil_floor_div(local_s, BW_CIVIL_DAY_S);
    int second = (int)(local_s - days * BW_CIVIL_DAY_S);
    int64_t cycle = bw_civil_floor_div(days - MARCH_1_YEAR_0, DAYS_400Y), left = days - MARCH_1_YEAR_0 - cycle * DAYS_400Y;
    /* The last day of a century of centuries, and of a leap year, is one more than its equal parts hold: it stays with the last part. */
    int64_t century = left / DAYS_100Y > 3 ? 3 : left / DAYS_100Y;
    left -= century * DAYS_100Y;
    int64_t four = left / DAYS_4Y;
    left -= four * DAYS_4Y;
    int64_t one = left / 365 > 3 ? 3 : left / 365;
    left -= one * 365;
    int month = (int)((5 * left + 2) / 153); /* from March */
    struct bw_civil civil = {.year = cycle * 400 + century * 100 + four * 4 + one + (month > 9),
                             .month = month > 9 ? month - 9 : month + 3,
                             .day = (int)left - (153 * month + 2) / 5 + 1,
                             .hour = second / 3600,
                             .minute = second / 60 % 60,
                             .second = second % 60};
    return civil;
}
