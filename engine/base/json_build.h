/* json_build.h: jansson's tree of text that bw_json_scan() has accepted, made in one pass without looking for faults again.
 *
 * NULL: there is something about it that jansson's own reader has to judge: a key that is twice in an object, a number that is too large for it, or
 * no memory. New reference. Pure, any thread. */
#ifndef BW_BASE_JSON_BUILD_H
#define BW_BASE_JSON_BUILD_H
#include "base/json.h"

json_t *bw_json_build(struct bw_slice text);
#endif
