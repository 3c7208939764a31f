/* address.h: "local@domain" or "Name <local@domain>". Pure; any thread. */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H
#include "message.h"

/* False: why says what is wrong with it. mail_address_free() in either case. */
bool mail_address_read(struct mail_address *address, const char *text, size_t len, const char **why);
void mail_address_free(struct mail_address *address);
#endif
