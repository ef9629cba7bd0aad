/* The FastCGI transport behind a real nginx on loopback, and against peers that are not one. */
#include "controlcenter/http/http.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#define BODY_LIMIT 100000
#define LARGE (24u << 20)

static char folder[] = "/tmp/test-fastcgi-XXXXXX";
static char socket_path[64];
static unsigned tcp_port, unix_web, tcp_web;
static struct http_router *router;
static struct http_fastcgi *by_unix, *by_tcp;
static pid_t nginx;
static atomic_int slow_begun;

static void echo(struct http_request *request, struct http_response *response)
{
    snprintf(response->content_type, sizeof response->content_type, "text/plain; charset=utf-8");
    http_set_cookie(response, "seen", "1", 0);
    buffer_add_format(&response->body, "peer=%s client=%s path=%s query=%s length=%zu",
                      request->peer, request->client_name, request->path, request->query,
                      request->body_length);
    static const char *const headers[] = {"X-CSRF-Token", "Host", "Content-Type"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (http_header(request, headers[i]))
            buffer_add_format(&response->body, " %s=%s", headers[i],
                              http_header(request, headers[i]));
    if (http_form(request, "a"))
        buffer_add_format(&response->body, " a=%s", http_form(request, "a"));
    if (http_cookie(request, "c"))
        buffer_add_format(&response->body, " c=%s", http_cookie(request, "c"));
}

static void large(struct http_request *request, struct http_response *response)
{
    (void)request;
    char *to = buffer_reserve(&response->body, LARGE);
    assert_non_null(to);
    for (size_t i = 0; i < LARGE; i++)
        to[i] = (char)('a' + i % 23);
    response->body.length += LARGE;
}

static void slow(struct http_request *request, struct http_response *response)
{
    (void)request;
    atomic_store(&slow_begun, 1);
    usleep(700 * 1000);
    buffer_add_text(&response->body, "slow answer");
}

static const struct http_route routes[] = {
    {HTTP_GET, "/echo", HTTP_PUBLIC, echo},    {HTTP_POST, "/echo", HTTP_PUBLIC, echo},
    {HTTP_GET, "/echo/:x", HTTP_PUBLIC, echo}, {HTTP_GET, "/large", HTTP_PUBLIC, large},
    {HTTP_GET, "/slow", HTTP_PUBLIC, slow},    {HTTP_OTHER, NULL, HTTP_PUBLIC, NULL},
};

/* --- nginx --- */

static int connect_port(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static unsigned free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &length), 0);
    close(fd);
    return ntohs(any.sin_port);
}

static void write_nginx_configuration(const char *path)
{
    static const char parameters[] =
        "fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REQUEST_URI $request_uri;"
        "fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;"
        "fastcgi_param REMOTE_ADDR $remote_addr;";
    struct buffer text = BUFFER_INIT;
    struct error error;
    buffer_add_format(&text,
                      "daemon off; master_process off; worker_processes 1; pid %s/nginx.pid;\n"
                      "error_log %s/nginx.log;\nevents { worker_connections 64; }\nhttp {\n"
                      "access_log off; client_max_body_size 0; %s\n",
                      folder, folder, parameters);
    static const char *const kinds[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        buffer_add_format(&text, "%s_temp_path %s/temp-%s;\n", kinds[i], folder, kinds[i]);
    buffer_add_format(&text,
                      "upstream kept { server 127.0.0.1:%u; keepalive 8; }\n"
                      "server { listen 127.0.0.1:%u; location / { fastcgi_pass unix:%s; } }\n"
                      "server { listen 127.0.0.1:%u; location / { fastcgi_keep_conn on; "
                      "fastcgi_pass kept; } }\n}\n",
                      tcp_port, unix_web, socket_path, tcp_web);
    assert_true(file_write_atomic(path, text.data, text.length, 0600, &error));
    buffer_free(&text);
}

static bool start_nginx(void)
{
    char configuration[128], log[128];
    snprintf(configuration, sizeof configuration, "%s/nginx.conf", folder);
    snprintf(log, sizeof log, "%s/nginx.log", folder);
    write_nginx_configuration(configuration);
    nginx = fork();
    if (nginx == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execlp("nginx", "nginx", "-p", folder, "-e", log, "-c", configuration, (char *)NULL);
        execl("/usr/sbin/nginx", "nginx", "-p", folder, "-e", log, "-c", configuration,
              (char *)NULL);
        _exit(127);
    }
    for (int tries = 0; tries < 500; tries++) {
        int fd = connect_port(tcp_web), status;
        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (waitpid(nginx, &status, WNOHANG) == nginx) {
            nginx = 0;
            return false;
        }
        usleep(10 * 1000);
    }
    return false;
}

static void need_nginx(void)
{
    if (!nginx) {
        print_message("nginx is not installed here: skipped\n");
        skip();
    }
}

/* The status and what curl printed; `text` is cut to its size. */
static int curl(unsigned port, const char *options, const char *path, char *text, size_t size)
{
    char command[2048];
    cleanup_free char *whole = malloc(65536);
    assert_non_null(whole);
    snprintf(command, sizeof command,
             "curl -s -m 20 -w '\\n%%{http_code}' %s 'http://127.0.0.1:%u%s' 2>&1", options, port,
             path);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    size_t got = fread(whole, 1, 65535, output);
    pclose(output);
    whole[got] = '\0';
    char *status = strrchr(whole, '\n');
    assert_non_null(status);
    *status = '\0';
    snprintf(text, size, "%s", whole);
    return atoi(status + 1);
}

static void requests_come_through_nginx(void **state)
{
    char text[8192];
    (void)state;
    need_nginx();
    for (const unsigned *web = (const unsigned[]){unix_web, tcp_web, 0}; *web; web++) {
        assert_int_equal(curl(*web, "-i -H 'X-CSRF-Token: t1'", "/echo?x=%26", text, sizeof text),
                         200);
        assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(text, "Content-Type: text/plain; charset=utf-8\r\n"));
        assert_non_null(strstr(text, "Strict-Transport-Security: max-age=31536000\r\n"));
        assert_non_null(strstr(text, "Set-Cookie: seen=1; Path=/; Secure; HttpOnly"));
        assert_non_null(strstr(text, "Content-Length: "));
        assert_non_null(strstr(text, "peer=127.0.0.1 client= path=/echo query=x=%26 length=0 "
                                     "X-CSRF-Token=t1 Host=127.0.0.1:"));
        assert_int_equal(curl(*web, "-d a=1%2B+2 -b c=%20d", "/echo", text, sizeof text), 200);
        assert_non_null(strstr(text, "length=8 "));
        assert_non_null(strstr(text, "Content-Type=application/x-www-form-urlencoded a=1+ 2 c= d"));
        assert_int_equal(curl(*web, "-i --head", "/echo", text, sizeof text), 200);
        assert_non_null(strstr(text, "Content-Length: "));
        assert_int_equal(curl(*web, "-i -H 'If-None-Match: *'", "/static/a.css", text, sizeof text),
                         304);
        assert_non_null(strstr(text, "ETag: \""));
        assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
        assert_int_equal(curl(*web, "", "/echo/a%20b", text, sizeof text), 200);
        assert_non_null(strstr(text, "path=/echo/a b "));
    }
}

static void refusals_come_through_nginx(void **state)
{
    char text[8192];
    (void)state;
    need_nginx();
    for (const unsigned *web = (const unsigned[]){unix_web, tcp_web, 0}; *web; web++) {
        assert_int_equal(curl(*web, "", "/nothing", text, sizeof text), 404);
        assert_int_equal(curl(*web, "-i -X DELETE", "/echo", text, sizeof text), 405);
        assert_non_null(strstr(text, "Allow: GET, HEAD, POST\r\n"));
        assert_int_equal(curl(*web, "--path-as-is", "/echo/%0a", text, sizeof text), 400);
        assert_int_equal(curl(*web, "--path-as-is", "/echo/%ff", text, sizeof text), 400);
        assert_int_equal(curl(*web, "--path-as-is", "/x/%2e%2e/echo", text, sizeof text), 400);
        assert_int_equal(curl(*web, "-d a=%00", "/echo", text, sizeof text), 400);
    }
}

static void bodies_over_the_limit_are_answered_413(void **state)
{
    char text[8192], path[128], options[256];
    struct error error;
    (void)state;
    need_nginx();
    cleanup_free char *body = malloc(20 * BODY_LIMIT);
    assert_non_null(body);
    memset(body, 'b', 20 * BODY_LIMIT);
    snprintf(path, sizeof path, "%s/body", folder);
    static const struct {
        size_t length;
        int status;
    } cases[] = {{BODY_LIMIT, 200}, {BODY_LIMIT + 1, 413}, {20 * BODY_LIMIT, 413}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(file_write_atomic(path, body, cases[i].length, 0600, &error));
        static const char *const ways[] = {"", " -H 'Transfer-Encoding: chunked'"};
        for (size_t way = 0; way < 2; way++) {
            snprintf(options, sizeof options, "--data-binary @%s%s", path, ways[way]);
            assert_int_equal(curl(unix_web, options, "/echo", text, sizeof text), cases[i].status);
            assert_int_equal(curl(tcp_web, options, "/echo", text, sizeof text), cases[i].status);
        }
    }
    unlink(path);
}

static void a_large_response_arrives_whole(void **state)
{
    char text[256], path[128], options[256];
    (void)state;
    need_nginx();
    snprintf(path, sizeof path, "%s/large", folder);
    snprintf(options, sizeof options, "-o %s", path);
    for (const unsigned *web = (const unsigned[]){unix_web, tcp_web, 0}; *web; web++) {
        struct error error;
        size_t length = 0;
        assert_int_equal(curl(*web, options, "/large", text, sizeof text), 200);
        cleanup_free char *got = file_read(path, LARGE + 1, &length, &error);
        assert_non_null(got);
        assert_int_equal(length, LARGE);
        for (size_t i = 0; i < LARGE; i++)
            if (got[i] != (char)('a' + i % 23))
                fail_msg("byte %zu differs", i);
        unlink(path);
    }
}

/* More clients than threads, and a web server that would keep each connection. */
static void threads_are_shared_by_many_clients(void **state)
{
    char command[512];
    (void)state;
    need_nginx();
    for (const unsigned *web = (const unsigned[]){unix_web, tcp_web, 0}; *web; web++) {
        snprintf(command, sizeof command,
                 "seq 200 | xargs -P 16 -I N curl -s -m 20 -o /dev/null -w '%%{http_code}\\n' "
                 "http://127.0.0.1:%u/echo/N | grep -c 200",
                 *web);
        FILE *output = popen(command, "r");
        char line[32] = "";
        assert_non_null(output);
        assert_non_null(fgets(line, sizeof line, output));
        pclose(output);
        assert_int_equal(atoi(line), 200);
    }
}

/* --- peers that are no web server --- */

static int connect_unix(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 10};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Sends bytes, ends its side and reads until the transport closes. */
static ssize_t garbage(const void *data, size_t length, char *answer, size_t size)
{
    int fd = connect_unix();
    ssize_t got = 0, step;
    if (send(fd, data, length, MSG_NOSIGNAL) < 0)
        got = 0;
    shutdown(fd, SHUT_WR);
    while ((step = recv(fd, answer + got, size - (size_t)got, 0)) > 0)
        got += step;
    close(fd);
    return got;
}

/* The smallest request: BEGIN, PARAMS and STDIN records with the given parameters. */
static size_t fastcgi_request(char *to, const char *const (*parameters)[2], size_t count,
                              const char *body)
{
    static const unsigned char begin[] = {1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    static const unsigned char no_parameters[] = {1, 4, 0, 1, 0, 0, 0, 0};
    static const unsigned char no_body[] = {1, 5, 0, 1, 0, 0, 0, 0};
    char *at = to;
    memcpy(at, begin, sizeof begin);
    at += sizeof begin;
    char *record = at;
    memcpy(record, no_parameters, 8);
    at += 8;
    for (size_t i = 0; i < count; i++) {
        size_t name = strlen(parameters[i][0]), value = strlen(parameters[i][1]);
        *at++ = (char)name;
        *at++ = (char)value;
        memcpy(at, parameters[i][0], name);
        memcpy(at + name, parameters[i][1], value);
        at += name + value;
    }
    record[4] = (char)((at - record - 8) >> 8);
    record[5] = (char)(at - record - 8);
    memcpy(at, no_parameters, 8);
    at += 8;
    size_t length = strlen(body);
    if (length > 0) {
        memcpy(at, no_body, 8);
        at[5] = (char)length;
        memcpy(at + 8, body, length);
        at += 8 + length;
    }
    memcpy(at, no_body, 8);
    return (size_t)(at + 8 - to);
}

static void expect_answer(const char *const (*parameters)[2], size_t count, const char *body,
                          const char *status)
{
    char request[2048], answer[8192];
    size_t length = fastcgi_request(request, parameters, count, body);
    ssize_t got = garbage(request, length, answer, sizeof answer - 1);
    assert_true(got > 8);
    answer[got] = '\0';
    for (ssize_t i = 0; i < got; i++)
        if (answer[i] == '\0')
            answer[i] = ' ';
    if (!strstr(answer, status))
        fail_msg("no %s: %s", status, answer);
}

static void parameters_that_are_wrong_are_refused(void **state)
{
    (void)state;
    static const char *const plain[][2] = {{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/echo"}};
    static const char *const none[][2] = {{"REQUEST_METHOD", "GET"}};
    static const char *const post[][2] = {
        {"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/echo"}, {"CONTENT_LENGTH", "3"}};
    static const char *const words[][2] = {
        {"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/echo"}, {"CONTENT_LENGTH", "three"}};
    static const char *const much[][2] = {
        {"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/echo"}, {"CONTENT_LENGTH", "99999999"}};
    static const char *const shadow[][2] = {{"REQUEST_METHOD", "POST"},
                                            {"REQUEST_URI", "/echo"},
                                            {"CONTENT_LENGTH", "3"},
                                            {"HTTP_CONTENT_LENGTH", "1"},
                                            {"HTTP_TRANSFER_ENCODING", "chunked"}};
    static const char *const name[][2] = {
        {"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/echo"}, {"HTTP_A B", "x"}};
    static const char *const peer[][2] = {
        {"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/echo"}, {"REMOTE_ADDR", "<b>"}};
    expect_answer(plain, 2, "", "Status: 200 OK");
    expect_answer(none, 1, "", "Status: 500 ");
    expect_answer(post, 3, "abc", "length=3");
    expect_answer(post, 3, "abcdef", "length=3");
    expect_answer(post, 3, "ab", "Status: 400 ");
    expect_answer(words, 3, "abc", "Status: 400 ");
    expect_answer(much, 3, "abc", "Status: 413 ");
    expect_answer(shadow, 5, "abc", "length=3");
    expect_answer(name, 3, "", "Status: 400 ");
    expect_answer(peer, 3, "", "peer= client=");
}

/* Every beginning of a request, and bytes of other protocols. */
static void what_is_no_request_does_not_hold_a_thread(void **state)
{
    static const char *const post[][2] = {
        {"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/echo"}, {"CONTENT_LENGTH", "3"}};
    static const char *const others[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x02",
                                         "EHLO a\r\n", "\x01", "\x01\x0b\x00\x01\x00\x00"};
    char request[2048], answer[8192];
    size_t length = fastcgi_request(request, post, 3, "abc");
    (void)state;
    for (size_t cut = 1; cut < length; cut++) {
        ssize_t got = garbage(request, cut, answer, sizeof answer - 1);
        answer[got] = '\0';
        /* The body is whole before its last, empty record. */
        if (cut + 8 < length && got > 8 && strstr(answer + 8, "Status: 200"))
            fail_msg("%zu of %zu bytes were served", cut, length);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        garbage(others[i], strlen(others[i]), answer, sizeof answer);
    expect_answer(post, 3, "abc", "Status: 200 OK");
}

static void what_cannot_start_says_why(void **state)
{
    struct error error = {0};
    (void)state;
    static const char *const wrong[] = {"",
                                        "socket",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "localhost:9000",
                                        "127.0.0.1:99999",
                                        "127.0.0.1:-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(http_fastcgi_start(wrong[i], 2, BODY_LIMIT, router, &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
    assert_null(http_fastcgi_start("/nowhere/at/all", 2, BODY_LIMIT, router, &error));
    assert_null(http_fastcgi_start(socket_path, 0, BODY_LIMIT, router, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    char used[32];
    snprintf(used, sizeof used, "127.0.0.1:%u", tcp_port);
    assert_null(http_fastcgi_start(used, 2, BODY_LIMIT, router, &error));
    assert_non_null(strstr(error.message, "in use"));
}

static void the_socket_is_for_the_group_only(void **state)
{
    struct stat status;
    (void)state;
    assert_int_equal(stat(socket_path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
}

static void *ask_slowly(void *answer)
{
    static const char *const parameters[][2] = {{"REQUEST_METHOD", "GET"},
                                                {"REQUEST_URI", "/slow"}};
    char request[512];
    size_t length = fastcgi_request(request, parameters, 2, "");
    int fd = connect_unix();
    send(fd, request, length, MSG_NOSIGNAL);
    ssize_t got = 0, step;
    while ((step = recv(fd, (char *)answer + got, 4095 - (size_t)got, 0)) > 0)
        got += step;
    for (ssize_t i = 0; i < got; i++)
        if (((char *)answer)[i] == '\0')
            ((char *)answer)[i] = ' ';
    close(fd);
    return NULL;
}

static void stopping_lets_running_requests_end_and_cuts_the_silent(void **state)
{
    static const unsigned char half[] = {1, 1, 0, 1, 0, 8};
    char answer[4096] = "";
    struct error error;
    pthread_t thread;
    (void)state;
    atomic_store(&slow_begun, 0);
    assert_int_equal(pthread_create(&thread, NULL, ask_slowly, answer), 0);
    while (!atomic_load(&slow_begun))
        usleep(1000);
    int64_t begun = timestamp_monotonic_ms();
    http_fastcgi_stop(by_unix);
    by_unix = NULL;
    assert_true(timestamp_monotonic_ms() - begun < 4000);
    pthread_join(thread, NULL);
    assert_non_null(strstr(answer, "slow answer"));
    assert_int_equal(access(socket_path, F_OK), -1);

    by_unix = http_fastcgi_start(socket_path, 2, BODY_LIMIT, router, &error);
    assert_non_null(by_unix);
    int silent = connect_unix();
    assert_int_equal(send(silent, half, sizeof half, MSG_NOSIGNAL), sizeof half);
    usleep(100 * 1000);
    begun = timestamp_monotonic_ms();
    http_fastcgi_stop(by_unix);
    by_unix = NULL;
    int64_t took = timestamp_monotonic_ms() - begun;
    assert_true(took >= 4900 && took < 9000);
    close(silent);
}

/* --- the test program --- */

static int prepare(void **state)
{
    struct error error;
    char address[32];
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(socket_path, sizeof socket_path, "%s/socket", folder);
    tcp_port = free_port();
    unix_web = free_port();
    tcp_web = free_port();
    snprintf(address, sizeof address, "127.0.0.1:%u", tcp_port);
    char file[64];
    snprintf(file, sizeof file, "%s/a.css", folder);
    if (!file_write_atomic(file, "a{}", 3, 0600, &error))
        return -1;
    router = http_router_new(routes, NULL, folder, NULL);
    by_unix = http_fastcgi_start(socket_path, 3, BODY_LIMIT, router, &error);
    by_tcp = http_fastcgi_start(address, 3, BODY_LIMIT, router, &error);
    if (!router || !by_unix || !by_tcp)
        return -1;
    if (access("/usr/sbin/nginx", X_OK) < 0 && errno == ENOENT)
        return 0;
    return start_nginx() ? 0 : -1;
}

static int tidy(void **state)
{
    char command[128];
    (void)state;
    if (nginx) {
        kill(nginx, SIGTERM);
        waitpid(nginx, NULL, 0);
    }
    http_fastcgi_stop(by_unix);
    http_fastcgi_stop(by_tcp);
    http_router_free(router);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_through_nginx),
        cmocka_unit_test(refusals_come_through_nginx),
        cmocka_unit_test(bodies_over_the_limit_are_answered_413),
        cmocka_unit_test(a_large_response_arrives_whole),
        cmocka_unit_test(threads_are_shared_by_many_clients),
        cmocka_unit_test(parameters_that_are_wrong_are_refused),
        cmocka_unit_test(what_is_no_request_does_not_hold_a_thread),
        cmocka_unit_test(what_cannot_start_says_why),
        cmocka_unit_test(the_socket_is_for_the_group_only),
        cmocka_unit_test(stopping_lets_running_requests_end_and_cuts_the_silent),
    };
    return cmocka_run_group_tests(tests, prepare, tidy);
}
