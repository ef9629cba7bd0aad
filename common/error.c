#include "common/error.h"

#include "common/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Formatted text is cut by bytes and may quote hostile input; errors end up in JSON and in logs, so
 * that half a character or a control character must not stay. */
static void tidy(char *text)
{
    size_t length = strlen(text);
    size_t start = length;
    while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xc0 &&
        utf8_sequence(text + start - 1, length - start + 1) == 0)
        length = start - 1;
    text[utf8_scrub(text, length)] = '\0';
}

/* `where` and the arguments may point into *error itself, which is why both are made aside. */
static void fill(struct error *error, enum error_code code, const char *where, const char *message)
{
    struct error made = {.code = code};
    snprintf(made.where, sizeof(made.where), "%s", where ? where : "");
    snprintf(made.message, sizeof(made.message), "%s", message);
    tidy(made.where);
    tidy(made.message);
    *error = made;
}

bool error_set(struct error *error, enum error_code code, const char *where, const char *format,
               ...)
{
    char message[sizeof(error->message)];
    va_list arguments;
    if (!error)
        return false;
    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    fill(error, code, where, message);
    return false;
}

bool error_set_errno(struct error *error, const char *where, const char *what)
{
    int number = errno;
    char text[128], message[sizeof(error->message)];
    if (!error)
        return false;
    enum error_code code = number == ENOSPC || number == EDQUOT ? ERROR_NO_SPACE : ERROR_IO;
    snprintf(message, sizeof(message), "%s: %s", what, strerror_r(number, text, sizeof(text)));
    fill(error, code, where, message);
    errno = number;
    return false;
}

const char *error_text(const struct error *error, char *text, unsigned long size)
{
    if (size == 0)
        return text;
    if (error->where[0])
        snprintf(text, size, "%s: %s", error->where, error->message);
    else
        snprintf(text, size, "%s", error->message);
    tidy(text);
    return text;
}
