#include "scanner/directory/memory.h"

#include <jansson.h>
#include <lber.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wipe_and_free(void *memory)
{
    if (memory)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

static void *take(ber_len_t size, void *context)
{
    (void)context;
    return malloc(size);
}

static void *take_zeroed(ber_len_t count, ber_len_t size, void *context)
{
    (void)context;
    return calloc(count, size);
}

static void *take_again(void *memory, ber_len_t size, void *context)
{
    size_t before = memory ? malloc_usable_size(memory) : 0;
    void *grown = malloc(size);
    (void)context;
    if (!grown)
        return NULL;
    if (before > 0)
        memcpy(grown, memory, before < size ? before : size);
    wipe_and_free(memory);
    return grown;
}

static void give_back(void *memory, void *context)
{
    (void)context;
    wipe_and_free(memory);
}

void memory_wipe_what_is_freed(void)
{
    BerMemoryFunctions functions = {
        .bmf_malloc = take,
        .bmf_calloc = take_zeroed,
        .bmf_realloc = take_again,
        .bmf_free = give_back,
    };
    json_set_alloc_funcs(malloc, wipe_and_free);
    ber_set_option(NULL, LBER_OPT_MEMORY_FNS, &functions);
}
