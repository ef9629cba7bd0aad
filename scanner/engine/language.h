/* Which language a text is written in. */
#ifndef GATEHOUSE_SCANNER_ENGINE_LANGUAGE_H
#define GATEHOUSE_SCANNER_ENGINE_LANGUAGE_H

#include <stddef.h>

#define LANGUAGE_LOOK (64u << 10) /* bytes of a text that are looked at */
#define LANGUAGE_UNKNOWN "unknown"

/* The ISO 639-1 code of the language of valid UTF-8 text, as people read it: by its script where
 * that tells (Japanese, Chinese, Korean, Greek, Hebrew, Thai and so on), by letters that only one
 * of them has (Cyrillic and Arabic script), and by frequent words and letters in Latin script (en
 * de fr es it pt nl pl sv da fi tr cs hu ro vi id). LANGUAGE_UNKNOWN for too few words, or where
 * two languages are as likely. The text is static. */
const char *language_of(const char *text, size_t length);

#endif
