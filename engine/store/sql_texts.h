/* sql_texts.h: the statements of the embedded SQL files, each behind a line "-- name: NAME". Any thread; nothing is allocated. */
#ifndef BW_STORE_SQL_TEXTS_H
#define BW_STORE_SQL_TEXTS_H

/* The text behind the name, up to the end of its file (SQLite reads up to the first semicolon only), and its line there. NULL: there is none. */
const char *bw_sql_text(const char *file, const char *name, int *line);
#endif
