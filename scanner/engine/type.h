/* What a file is by its content, whatever its name or header says. */
#ifndef GATEHOUSE_SCANNER_ENGINE_TYPE_H
#define GATEHOUSE_SCANNER_ENGINE_TYPE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Loads the type database, so that sandboxed workers, which can open no file, find it loaded. Call
 * before forking. Without it only the types that type_of knows by itself are told. */
bool type_preload(struct error *error);
void type_release(void);

/* The media type, such as "application/zip" or "text/plain"; "application/octet-stream" where
 * nothing is known and "inode/x-empty" for no bytes. The text is interned: it stays valid, and
 * equal types are the same pointer after g_intern_string. */
const char *type_of(const void *data, size_t length);

#endif
