/* The supervisor with stand-in services: shell scripts that say when they start and stop. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/timestamp.h"
#include "scanner/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define SERVICES 4

static const char *const names[SERVICES] = {"mta", "agent", "directory", "engine"};

struct scene {
    char folder[64];
    char state[96];
    char programs[96];
    char socket[128];
    pid_t supervisor;
};

static void write_text(const char *folder, const char *name, const char *text, mode_t mode)
{
    char path[256];
    assert_true(file_join(path, sizeof(path), folder, name, NULL));
    assert_true(file_write_atomic(path, text, strlen(text), mode, NULL));
    assert_int_equal(chmod(path, mode), 0);
}

static char *read_text(const char *folder, const char *name)
{
    char path[256];
    assert_true(file_join(path, sizeof(path), folder, name, NULL));
    char *text = file_read(path, 1 << 20, NULL, NULL);
    return text ? text : strdup("");
}

/* A service that notes its end in STATE/order. */
static void write_service(const struct scene *scene, const char *name)
{
    char file[64], script[512];
    snprintf(file, sizeof(file), "gatehouse-%s", name);
    snprintf(script, sizeof(script),
             "#!/bin/sh\n"
             "trap 'echo %s >>\"$2/order\"; exit 0' TERM\n"
             "echo \"%s is up\" >&2\n"
             "while :; do sleep 0.02; done\n",
             name, name);
    write_text(scene->programs, file, script, 0755);
}

static int open_scene(void **argument)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    strcpy(scene->folder, "/tmp/gatehouse-supervisor-XXXXXX");
    if (!mkdtemp(scene->folder))
        return -1;
    snprintf(scene->state, sizeof(scene->state), "%s/state", scene->folder);
    snprintf(scene->programs, sizeof(scene->programs), "%s/programs", scene->folder);
    snprintf(scene->socket, sizeof(scene->socket), "%s/run/supervisor.sock", scene->state);
    mkdir(scene->state, 0755);
    mkdir(scene->programs, 0755);
    write_text(scene->state, "node.json", "{}", 0644);
    for (size_t i = 0; i < SERVICES; i++)
        write_service(scene, names[i]);
    setenv("GATEHOUSE_LIBEXEC", scene->programs, 1);
    *argument = scene;
    return 0;
}

static void wait_for_end(struct scene *scene)
{
    if (scene->supervisor > 0)
        waitpid(scene->supervisor, NULL, 0);
    scene->supervisor = 0;
}

static int close_scene(void **argument)
{
    struct scene *scene = *argument;
    char command[128];
    if (scene->supervisor > 0)
        kill(scene->supervisor, SIGTERM);
    wait_for_end(scene);
    snprintf(command, sizeof(command), "rm -rf '%s'", scene->folder);
    int status = system(command);
    free(scene);
    return status;
}

/* All services as ourselves, whoever runs the test. */
static struct accounts own_accounts(void)
{
    struct accounts accounts = {.separate = false, .group = getegid()};
    for (size_t i = 0; i < ROLE_COUNT; i++)
        accounts.users[i] = geteuid();
    return accounts;
}

/* Runs the supervisor in a process of its own; its exit status is 0 when it ended as asked. */
static void start(struct scene *scene)
{
    scene->supervisor = fork();
    assert_true(scene->supervisor >= 0);
    if (scene->supervisor == 0) {
        struct accounts accounts = own_accounts();
        struct error error = {0};
        char text[640];
        bool ok =
            freopen("/dev/null", "w", stdout) && supervisor_run(scene->state, &accounts, &error);
        if (!ok)
            fprintf(stderr, "%s\n", error_text(&error, text, sizeof(text)));
        _exit(ok ? 0 : 1);
    }
}

static json_t *ask(const struct scene *scene, const char *op, const char *service,
                   struct error *error)
{
    cleanup_json json_t *request = json_pack("{s:s,s:s*}", "op", op, "service", service);
    return ipc_request(scene->socket, request, 2000, error);
}

static void order(const struct scene *scene, const char *op, const char *service)
{
    cleanup_json json_t *reply = ask(scene, op, service, NULL);
    assert_non_null(reply);
}

/* The service once it is in that state (and is not the process `not_pid`); fails after 5 s. */
static json_t *wait_for_state(const struct scene *scene, const char *service, const char *state,
                              int not_pid)
{
    int64_t deadline = timestamp_monotonic_ms() + 5000;
    while (timestamp_monotonic_ms() < deadline) {
        cleanup_json json_t *reply = ask(scene, "status", NULL, NULL);
        json_t *row = json_object_get(json_object_get(reply, "services"), service);
        const char *is = json_string_value(json_object_get(row, "state"));
        if (is && strcmp(is, state) == 0 &&
            json_integer_value(json_object_get(row, "pid")) != not_pid)
            return json_incref(row);
        usleep(10000);
    }
    fail_msg("%s does not become %s", service, state);
    return NULL;
}

static int pid_of(const struct scene *scene, const char *service)
{
    cleanup_json json_t *row = wait_for_state(scene, service, "running", 0);
    return (int)json_integer_value(json_object_get(row, "pid"));
}

static bool wait_until_gone(pid_t pid)
{
    for (int i = 0; i < 300; i++) {
        if (kill(pid, 0) != 0 && errno == ESRCH)
            return true;
        usleep(10000);
    }
    return false;
}

static bool wait_for_text(const char *folder, const char *name, const char *text)
{
    for (int i = 0; i < 300; i++) {
        cleanup_free char *content = read_text(folder, name);
        if (strstr(content, text))
            return true;
        usleep(10000);
    }
    return false;
}

/* --- behaviour --- */

static void all_services_run_with_their_folders_made(void **argument)
{
    struct scene *scene = *argument;
    char path[256];
    struct stat status;
    start(scene);
    for (size_t i = 0; i < SERVICES; i++)
        assert_true(pid_of(scene, names[i]) > 1);
    assert_true(file_join(path, sizeof(path), scene->state, "queue", NULL));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_true(file_join(path, sizeof(path), scene->state, "run", NULL));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0770);
}

static void a_killed_service_is_started_again_and_counted(void **argument)
{
    struct scene *scene = *argument;
    start(scene);
    int engine = pid_of(scene, "engine"), mta = pid_of(scene, "mta");
    assert_int_equal(kill(engine, SIGKILL), 0);
    cleanup_json json_t *row = wait_for_state(scene, "engine", "running", engine);
    assert_int_equal(json_integer_value(json_object_get(row, "restarts")), 1);
    assert_int_equal(pid_of(scene, "mta"), mta);
}

static void a_service_that_dies_at_once_is_tried_with_growing_pauses(void **argument)
{
    struct scene *scene = *argument;
    write_text(scene->programs, "gatehouse-engine", "#!/bin/sh\necho x >>\"$2/tries\"\nexit 3\n",
               0755);
    start(scene);
    pid_of(scene, "mta");
    usleep(2000000);
    cleanup_free char *tries = read_text(scene->state, "tries");
    /* Pauses of 0.1, 0.2, 0.4, 0.8 s: four or five starts in the first two seconds. */
    assert_in_range(strlen(tries) / 2, 3, 6);
}

static void a_stopped_service_stays_stopped_over_a_restart_until_it_is_started(void **argument)
{
    struct scene *scene = *argument;
    start(scene);
    pid_of(scene, "agent");
    order(scene, "stop", "agent");
    json_decref(wait_for_state(scene, "agent", "stopped", -1));
    kill(scene->supervisor, SIGTERM);
    wait_for_end(scene);
    start(scene);
    pid_of(scene, "mta");
    json_decref(wait_for_state(scene, "agent", "stopped", -1));
    order(scene, "start", "agent");
    assert_true(pid_of(scene, "agent") > 1);
}

static void a_restart_gives_a_new_process_and_is_no_death(void **argument)
{
    struct scene *scene = *argument;
    start(scene);
    int mta = pid_of(scene, "mta");
    order(scene, "restart", "mta");
    cleanup_json json_t *row = wait_for_state(scene, "mta", "running", mta);
    assert_int_equal(json_integer_value(json_object_get(row, "restarts")), 0);
}

static void services_stop_in_the_order_mta_agent_directory_engine(void **argument)
{
    struct scene *scene = *argument;
    int status = -1;
    start(scene);
    for (size_t i = 0; i < SERVICES; i++)
        assert_true(wait_for_text(scene->state, "log/mta.log", "mta is up") &&
                    pid_of(scene, names[i]) > 1);
    assert_true(wait_for_text(scene->state, "log/agent.log", "agent is up"));
    assert_true(wait_for_text(scene->state, "log/directory.log", "directory is up"));
    assert_true(wait_for_text(scene->state, "log/engine.log", "engine is up"));
    kill(scene->supervisor, SIGTERM);
    assert_int_equal(waitpid(scene->supervisor, &status, 0), scene->supervisor);
    scene->supervisor = 0;
    assert_int_equal(status, 0);
    cleanup_free char *ended = read_text(scene->state, "order");
    assert_string_equal(ended, "mta\nagent\ndirectory\nengine\n");
}

static void services_end_with_a_killed_supervisor_and_the_next_works_at_once(void **argument)
{
    struct scene *scene = *argument;
    int before[SERVICES];
    start(scene);
    for (size_t i = 0; i < SERVICES; i++)
        before[i] = pid_of(scene, names[i]);
    kill(scene->supervisor, SIGKILL);
    wait_for_end(scene);
    start(scene);
    for (size_t i = 0; i < SERVICES; i++) {
        assert_true(wait_until_gone(before[i]));
        json_decref(wait_for_state(scene, names[i], "running", before[i]));
    }
}

static void a_service_that_ignores_the_request_to_end_is_killed(void **argument)
{
    struct scene *scene = *argument;
    write_text(scene->programs, "gatehouse-engine",
               "#!/bin/sh\ntrap '' TERM\necho deaf >&2\nwhile :; do sleep 0.1; done\n", 0755);
    start(scene);
    int engine = pid_of(scene, "engine");
    assert_true(wait_for_text(scene->state, "log/engine.log", "deaf"));
    order(scene, "stop", "engine");
    int64_t asked = timestamp_monotonic_ms();
    while (kill(engine, 0) == 0 && timestamp_monotonic_ms() - asked < 15000)
        usleep(50000);
    assert_in_range(timestamp_monotonic_ms() - asked, 9000, 12000);
    json_decref(wait_for_state(scene, "engine", "stopped", -1));
}

static void a_second_supervisor_is_refused_and_names_the_first(void **argument)
{
    struct scene *scene = *argument;
    struct error error = {0};
    char pid[32];
    start(scene);
    pid_of(scene, "mta");
    assert_int_equal(accounts_lock_state(scene->state, &error), -1);
    assert_int_equal(error.code, ERROR_EXISTS);
    snprintf(pid, sizeof(pid), "process %d", (int)scene->supervisor);
    assert_non_null(strstr(error.message, pid));
}

static void a_state_that_is_not_enrolled_is_refused_with_the_command(void **argument)
{
    struct scene *scene = *argument;
    struct accounts accounts = own_accounts();
    struct error error = {0};
    char path[256];
    assert_true(file_join(path, sizeof(path), scene->state, "node.json", NULL));
    unlink(path);
    assert_false(supervisor_run(scene->state, &accounts, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "gatehouse-scanner enroll"));
}

static void a_missing_program_is_named(void **argument)
{
    struct scene *scene = *argument;
    struct accounts accounts = own_accounts();
    struct error error = {0};
    char path[256];
    assert_true(file_join(path, sizeof(path), scene->programs, "gatehouse-engine", NULL));
    unlink(path);
    assert_false(supervisor_run(scene->state, &accounts, &error));
    assert_non_null(strstr(error.message, "gatehouse-engine"));
}

static void root_without_the_users_is_refused_with_what_to_do(void **argument)
{
    struct accounts accounts;
    struct error error = {0};
    (void)argument;
    if (geteuid() != 0 || getgrnam("gatehouse"))
        skip();
    unsetenv("GATEHOUSE_ALLOW_ROOT");
    assert_false(accounts_find(&accounts, &error));
    assert_non_null(strstr(error.message, "tools/create-users"));
}

static void output_goes_to_the_log_which_is_opened_again_on_hangup(void **argument)
{
    struct scene *scene = *argument;
    char from[256], to[256];
    start(scene);
    pid_of(scene, "mta");
    assert_true(wait_for_text(scene->state, "log/mta.log", "mta is up"));
    assert_true(file_join(from, sizeof(from), scene->state, "log/mta.log", NULL));
    assert_true(file_join(to, sizeof(to), scene->state, "log/mta.log.1", NULL));
    assert_int_equal(rename(from, to), 0);
    kill(scene->supervisor, SIGHUP);
    for (int i = 0; i < 300 && access(from, F_OK) != 0; i++)
        usleep(10000);
    order(scene, "restart", "mta");
    assert_true(wait_for_text(scene->state, "log/mta.log", "mta is up"));
}

static void wrong_requests_are_answered_with_the_reason(void **argument)
{
    struct scene *scene = *argument;
    struct error error = {0};
    start(scene);
    pid_of(scene, "mta");
    assert_null(ask(scene, "stop", "postfix", &error));
    assert_non_null(strstr(error.message, "mta, engine, directory or agent"));
    error = (struct error){0};
    assert_null(ask(scene, "explode", "mta", &error));
    assert_non_null(strstr(error.message, "start, stop or restart"));
}

static void hung_and_hostile_clients_do_not_hold_up_others(void **argument)
{
    struct scene *scene = *argument;
    int clients[40];
    start(scene);
    pid_of(scene, "mta");
    for (size_t i = 0; i < 40; i++) {
        clients[i] = ipc_connect(scene->socket, SOCK_STREAM, NULL);
        if (clients[i] >= 0 && i % 2)
            (void)!send(clients[i], "\xff\xff\xff\xff", 4, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < 40; i++)
        if (clients[i] >= 0)
            close(clients[i]);
    pid_of(scene, "mta");
    int slow = ipc_connect(scene->socket, SOCK_STREAM, NULL);
    assert_true(slow >= 0);
    assert_int_equal(send(slow, "\0\0", 2, MSG_NOSIGNAL), 2);
    int64_t before = timestamp_monotonic_ms();
    pid_of(scene, "mta");
    assert_true(timestamp_monotonic_ms() - before < 1000);
    close(slow);
}

#define scene_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(all_services_run_with_their_folders_made),
        scene_test(a_killed_service_is_started_again_and_counted),
        scene_test(a_service_that_dies_at_once_is_tried_with_growing_pauses),
        scene_test(a_stopped_service_stays_stopped_over_a_restart_until_it_is_started),
        scene_test(a_restart_gives_a_new_process_and_is_no_death),
        scene_test(services_stop_in_the_order_mta_agent_directory_engine),
        scene_test(services_end_with_a_killed_supervisor_and_the_next_works_at_once),
        scene_test(a_service_that_ignores_the_request_to_end_is_killed),
        scene_test(a_second_supervisor_is_refused_and_names_the_first),
        scene_test(a_state_that_is_not_enrolled_is_refused_with_the_command),
        scene_test(a_missing_program_is_named),
        scene_test(root_without_the_users_is_refused_with_what_to_do),
        scene_test(output_goes_to_the_log_which_is_opened_again_on_hangup),
        scene_test(wrong_requests_are_answered_with_the_reason),
        scene_test(hung_and_hostile_clients_do_not_hold_up_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
