/* usage.h: what the metered calls of a run took, for `bellwire runs show`. */
#ifndef BW_CMD_USAGE_H
#define BW_CMD_USAGE_H
#include "base/buf.h"
#include "store/store.h"

bool bw_usage_print(struct bw_reader *reader, struct bw_uid run); /* for people; nothing when there was none. False: said on stderr */
bool bw_usage_append(struct bw_reader *reader, struct bw_uid run, struct bw_buf *line); /* ,"usage":{…} the same way */
#endif
