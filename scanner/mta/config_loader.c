#include "scanner/mta/config_loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct config_loader {
    const char *envelope, *key;
    config_loaded loaded;
    void *argument;
    int done_fd;
    struct event *done;
    bool running, again;
    pthread_t thread;
    /* The thread's until it has written to done_fd. */
    struct scanner_config *config;
    struct error error;
};

static void *load(void *argument)
{
    struct config_loader *loader = argument;
    loader->error = (struct error){0};
    loader->config = config_load(loader->envelope, loader->key, &loader->error);
    eventfd_write(loader->done_fd, 1);
    return NULL;
}

static void start_thread(struct config_loader *loader)
{
    sigset_t all, before;
    /* Signals are the loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    loader->running = pthread_create(&loader->thread, NULL, load, loader) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!loader->running)
        load(loader); /* sessions wait, which is better than an old configuration */
}

static void on_done(evutil_socket_t fd, short what, void *argument)
{
    struct config_loader *loader = argument;
    eventfd_t count;
    (void)what;
    if (eventfd_read(fd, &count) != 0)
        return;
    if (loader->running)
        pthread_join(loader->thread, NULL);
    loader->running = false;
    struct scanner_config *config = loader->config;
    struct error error = loader->error;
    bool again = loader->again;
    loader->config = NULL;
    loader->again = false;
    if (again)
        start_thread(loader);
    loader->loaded(loader->argument, config, &error, !again);
}

struct config_loader *config_loader_new(struct event_base *base, const char *envelope,
                                        const char *key, config_loaded loaded, void *argument)
{
    struct config_loader *loader = calloc(1, sizeof(*loader));
    if (!loader)
        abort();
    *loader = (struct config_loader){
        .envelope = envelope, .key = key, .loaded = loaded, .argument = argument};
    loader->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loader->done = event_new(base, loader->done_fd, EV_READ | EV_PERSIST, on_done, loader);
    if (loader->done_fd < 0 || !loader->done || event_add(loader->done, NULL) != 0)
        abort();
    return loader;
}

void config_loader_free(struct config_loader *loader)
{
    if (!loader)
        return;
    if (loader->running)
        pthread_join(loader->thread, NULL);
    config_free(loader->config);
    event_free(loader->done);
    close(loader->done_fd);
    free(loader);
}

void config_loader_start(struct config_loader *loader)
{
    if (loader->running)
        loader->again = true;
    else
        start_thread(loader);
}
