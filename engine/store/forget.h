/* forget.h: all that happened is forgotten, between two tests of `bellwire test`. The catalogue's revisions stay, and ids go on ascending: whoever
 * reads behind an id misses nothing. Writer thread, inside a transaction. */
#ifndef BW_STORE_FORGET_H
#define BW_STORE_FORGET_H
#include "store/writer.h"

bool bw_forget_all(struct bw_writer *writer, struct bw_error *err);
#endif
