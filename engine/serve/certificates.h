/* certificates.h: the certificates of https addresses while the engine serves: read again on SIGHUP, when one of their files has changed, and twice a
 * day, so that the keys of session tickets do not get old. What cannot be read changes nothing: the ones before stay, and the log says why. Main
 * thread. */
#ifndef BW_SERVE_CERTIFICATES_H
#define BW_SERVE_CERTIFICATES_H
#include "config/config.h"
#include "ingest/ingest.h"
#include <event2/event.h>

struct bw_certificates;
/* config is borrowed. NULL: an error in err, or, without one in it, no address is https. */
struct bw_certificates *bw_certificates_new(struct event_base *base, const struct bw_config *config, struct bw_error *err);
struct bw_tls *bw_certificates_tls(const struct bw_certificates *certificates);             /* borrowed */
void bw_certificates_serve(struct bw_certificates *certificates, struct bw_ingest *ingest); /* whom to tell of new ones; NULL: nobody */
void bw_certificates_reload(struct bw_certificates *certificates);
void bw_certificates_free(struct bw_certificates *certificates); /* NULL is nothing */
#endif
