/* A process of its own for one thing that somebody asked for: little time and memory, no rights,
 * and nothing open but the file that its answer is written to. The calls stand in the order in
 * which the process makes them. */
#ifndef GATEHOUSE_SCANNER_ENGINE_CONFINED_H
#define GATEHOUSE_SCANNER_ENGINE_CONFINED_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends with its parent and after `seconds`, and closes everything but standard input, output, error
 * and `file`. Returns the file's new descriptor, or -1. */
int confined_begin(int file, int seconds);

/* Makes libraries read now what they could not open in the sandbox. */
void confined_start_libraries(void);

/* Makes the process's scratch folder, its TMPDIR, and enters the sandbox with `memory` bytes. */
bool confined_enter(const char *state, uint64_t memory, struct error *error);

/* What such a process wrote, for who started it: as hostile as what it read. An object, or NULL
 * where there is none of at most `most` bytes. */
json_t *confined_answer(int file, size_t most);

#endif
