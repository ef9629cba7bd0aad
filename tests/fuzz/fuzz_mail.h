/* What the targets of whole messages share: a message taken apart within small limits. */
#ifndef GATEHOUSE_TESTS_FUZZ_FUZZ_MAIL_H
#define GATEHOUSE_TESTS_FUZZ_FUZZ_MAIL_H

#include "scanner/engine/charset.h"
#include "scanner/engine/message.h"
#include "scanner/engine/tree.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAIL_UNPACKED (4u << 20)
#define MAIL_PARTS 300
#define MAIL_US 3000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_mail {
    struct message *message;
    struct tree *tree; /* NULL where there is none */
};

/* Once for the whole run; false where the libraries cannot be set up. */
static inline bool fuzz_mail_prepare(void)
{
    static bool started;
    static struct charset_converters *converters; /* else each guess loads them anew */
    if (!started) {
        g_mime_init();
        converters = charset_preload();
    }
    started = true;
    return converters != NULL;
}

static inline struct fuzz_mail fuzz_mail_open(const char *data, size_t length)
{
    struct tree_limits limits = tree_default_limits(MAIL_US);
    limits.unpacked_bytes = MAIL_UNPACKED;
    limits.parts = MAIL_PARTS;
    struct fuzz_mail mail = {.message = message_parse(data, length)};
    mail.tree = mail.message ? tree_build(mail.message, &limits) : NULL;
    return mail;
}

static inline void fuzz_mail_close(struct fuzz_mail *mail)
{
    tree_free(mail->tree);
    message_free(mail->message);
}

#endif
