/* What libclamav alone scans in a second on all processors: each process scans the same message
 * again and again with a line at its end that no message before had, since libclamav remembers what
 * it found clean. Prints scans a second.
 *
 * usage: bare-clamav DATABASES MESSAGE [no-phishing]
 *
 * With the word, links are not looked at, as the engine leaves it with its builtin signatures. */
#include <clamav.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 3
#define MESSAGE_LIMIT (4u << 20)
#define MARK_SIZE 32
#define MEMORY "/dev/shm" /* for temporary files, as the engine's workers have theirs */
/* As the mta adds it: by such a line libclamav knows a message, and unpacks it. */
#define TRACE "Received: from client.test ([127.0.0.1])\r\n\tby mx1.test with ESMTP\r\n"

static void die(const char *what)
{
    fprintf(stderr, "bare-clamav: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct cl_engine *load(const char *databases, bool phishing)
{
    unsigned options = phishing ? CL_DB_STDOPT : CL_DB_STDOPT & ~(unsigned)CL_DB_PHISHING_URLS;
    unsigned count = 0;
    struct cl_engine *engine = cl_init(CL_INIT_DEFAULT) == CL_SUCCESS ? cl_engine_new() : NULL;
    if (!engine || cl_engine_set_str(engine, CL_ENGINE_TMPDIR, MEMORY) != CL_SUCCESS ||
        cl_load(databases, engine, &count, options) != CL_SUCCESS ||
        cl_engine_compile(engine) != CL_SUCCESS)
        die("the databases cannot be loaded");
    return engine;
}

static char *read_message(const char *path, size_t *length)
{
    char *text = malloc(sizeof(TRACE) + MESSAGE_LIMIT + MARK_SIZE);
    FILE *file = fopen(path, "r");
    if (!text || !file)
        die(path);
    *length = sizeof(TRACE) - 1;
    memcpy(text, TRACE, *length);
    *length += fread(text + *length, 1, MESSAGE_LIMIT, file);
    fclose(file);
    return text;
}

static void scan(struct cl_engine *engine, const char *text, size_t length)
{
    struct cl_scan_options options = {.parse = ~0u};
    unsigned long scanned = 0;
    const char *name = NULL;
    cl_fmap_t *map = cl_fmap_open_memory(text, length);
    if (!map || cl_scanmap_callback(map, NULL, &name, &scanned, engine, &options, NULL) == CL_VIRUS)
        die("the message is not clean");
    cl_fmap_close(map);
}

static void scan_many(struct cl_engine *engine, char *text, size_t length, long *count)
{
    double end = now() + SECONDS;
    while (now() < end) {
        int mark = snprintf(text + length, MARK_SIZE, "%d-%ld\r\n", (int)getpid(), *count);
        scan(engine, text, length + (size_t)mark);
        ++*count;
    }
}

int main(int argc, char **argv)
{
    bool phishing = argc != 4 || strcmp(argv[3], "no-phishing") != 0;
    if (argc < 3 || argc > 4 || (argc == 4 && phishing))
        die("usage: bare-clamav DATABASES MESSAGE [no-phishing]");
    long processors = sysconf(_SC_NPROCESSORS_ONLN), total = 0;
    size_t length;
    char *text = read_message(argv[2], &length);
    struct cl_engine *engine = load(argv[1], phishing);
    long *counts = mmap(NULL, (size_t)processors * sizeof(*counts), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        die("no memory");
    double start = now();
    for (long i = 0; i < processors; i++) {
        pid_t child = fork();
        if (child < 0)
            die("cannot fork");
        if (child == 0) {
            scan_many(engine, text, length, &counts[i]);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
    double seconds = now() - start;
    for (long i = 0; i < processors; i++)
        total += counts[i];
    printf("%.1f\n", (double)total / seconds);
    cl_engine_free(engine);
    free(text);
    return 0;
}
