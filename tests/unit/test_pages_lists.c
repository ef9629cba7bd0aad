/* Domains, aliases and masquerades in the console, and as files. */
#include "test_pages_scene.h"

#include "controlcenter/pages/csv.h"
#include "controlcenter/pages/list_rows.h"

static json_t *kept(struct console *console, enum store_list list, const char *key)
{
    json_t *value = store_entry_get(console->scene->store, list, key, NULL);
    if (!value)
        fail_msg("there is no %s", key);
    return value;
}

static void assert_kept(struct console *console, enum store_list list, const char *key,
                        const char *wanted)
{
    cleanup_json json_t *value = kept(console, list, key);
    cleanup_json json_t *expected = json_loads(wanted, 0, NULL);
    cleanup_free char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    if (!json_equal(value, expected))
        fail_msg("%s is %s", key, text);
}

/* Sends an import as a browser does: a form with a file. */
static void upload(struct console *console, const char *path, const char *fields, const char *file,
                   size_t length)
{
    struct buffer body = BUFFER_INIT;
    char first[SECRET_TEXT_SIZE];
    get(console, path);
    snprintf(first, sizeof first, "%s", console->csrf);
    http_request_clear(&console->request);
    http_response_clear(&console->response);
    http_response_init(&console->response);
    console->request.method = HTTP_POST;
    assert_int_equal(http_request_set_target(&console->request, path), 0);
    add_cookies(console);
    add_header(console, "Content-Type", "multipart/form-data; boundary=xYz");
    buffer_add_format(&body, "--xYz\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n%s\r\n",
                      first);
    for (const char *at = fields; *at; at += strcspn(at, "&"), at += *at == '&') {
        size_t name = strcspn(at, "="), value = strcspn(at + name + 1, "&");
        buffer_add_text(&body, "--xYz\r\nContent-Disposition: form-data; name=\"");
        buffer_add(&body, at, name);
        buffer_add_text(&body, "\"\r\n\r\n");
        buffer_add(&body, at + name + 1, value);
        buffer_add_text(&body, "\r\n");
    }
    buffer_add_text(&body, "--xYz\r\nContent-Disposition: form-data; name=\"file\"; "
                           "filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\n");
    buffer_add(&body, file, length);
    buffer_add_text(&body, "\r\n--xYz--\r\n");
    console->request.body_length = body.length;
    console->request.body = buffer_take(&body);
    assert_int_equal(http_request_read_cookies(&console->request), 0);
    assert_int_equal(http_request_finish(&console->request), 0);
    http_router_serve(console->router, &console->request, &console->response);
    keep_csrf(console);
}

static void upload_text(struct console *console, const char *path, const char *fields,
                        const char *file)
{
    upload(console, path, fields, file, strlen(file));
}

static int64_t entries(struct console *console, enum store_list list)
{
    int64_t count = -1;
    ok(store_entry_count(console->scene->store, list, &count, &error));
    return count;
}

/* --- files of comma-separated values --- */

static void expect_row(struct csv_reader *reader, int line, const char *wanted)
{
    struct csv_row row;
    char text[512] = "";
    assert_true(csv_next(reader, &row));
    assert_int_equal(row.line, line);
    for (size_t i = 0; i < row.count && !row.reason; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? "|" : "",
                 row.fields[i]);
    assert_string_equal(row.reason ? "wrong" : text, wanted);
}

static void csv_is_read_as_rfc_4180_says(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "a,b,c\r\n\"x \"\"y\"\"\",\"1,2\r\n3\", z \n\n,\r\n"
                               "\"open\n";
    struct csv_reader reader;
    struct csv_row row;
    (void)state;
    csv_open(&reader, text, sizeof text - 1);
    expect_row(&reader, 1, "a|b|c");
    expect_row(&reader, 2, "x \"y\"|1,2\r\n3|z");
    expect_row(&reader, 5, "|");
    expect_row(&reader, 6, "wrong");
    assert_false(csv_next(&reader, &row));
    csv_close(&reader);
}

static void csv_that_is_no_text_or_too_much_is_refused_by_the_line(void **state)
{
    static const char text[] = "a,\xff\nb\n\"c\"d\n\x01\ne\0f\ng,\"h\"\n";
    struct csv_reader reader;
    struct csv_row row;
    (void)state;
    csv_open(&reader, text, sizeof text - 1);
    expect_row(&reader, 1, "wrong");
    expect_row(&reader, 2, "b");
    expect_row(&reader, 3, "wrong");
    expect_row(&reader, 4, "wrong");
    expect_row(&reader, 5, "wrong");
    expect_row(&reader, 6, "g|h");
    assert_false(csv_next(&reader, &row));
    csv_close(&reader);
    cleanup_free char *commas = malloc(100000);
    memset(commas, ',', 100000);
    for (size_t length = 31; length <= 100000; length += 99969) {
        csv_open(&reader, commas, length);
        assert_true(csv_next(&reader, &row));
        assert_int_equal(row.reason == NULL, length == 31);
        csv_close(&reader);
    }
}

static void csv_makes_no_formula_of_a_field(void **state)
{
    static const char *const fields[] = {
        "=1+1@x.example", "-a,b@x.example", "+c", "'=d", "'e", "@f"};
    struct buffer text = BUFFER_INIT;
    struct csv_reader reader;
    (void)state;
    for (size_t i = 0; i < 6; i++)
        csv_add(&text, fields[i], i == 0);
    assert_string_equal(buffer_text(&text), "'=1+1@x.example,\"'-a,b@x.example\",'+c,''=d,'e,@f");
    csv_open(&reader, text.data, text.length);
    expect_row(&reader, 1, "=1+1@x.example|-a,b@x.example|+c|'=d|'e|@f");
    csv_close(&reader);
    csv_open(&reader, "=as it is,-1\n", 13);
    expect_row(&reader, 1, "=as it is|-1");
    csv_close(&reader);
    buffer_free(&text);
}

static void what_csv_writes_it_reads(void **state)
{
    static const char *const fields[] = {"plain", "",   "a,b",    "\"q\"",
                                         " x",    "y ", "1\r\n2", "\"a b\"@x.example"};
    struct buffer text = BUFFER_INIT;
    struct csv_reader reader;
    struct csv_row row;
    (void)state;
    for (size_t i = 0; i < 8; i++)
        csv_add(&text, fields[i], i == 0);
    csv_open(&reader, text.data, text.length);
    assert_true(csv_next(&reader, &row));
    assert_int_equal(row.count, 8);
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(row.fields[i], fields[i]);
    csv_close(&reader);
    buffer_free(&text);
}

static void addresses_are_split_but_not_in_quotes(void **state)
{
    struct buffer text = BUFFER_INIT;
    (void)state;
    cleanup_json json_t *array = list_split(" a@x, b@x;\n\"c, d\\\" e\"@x\r\nf@x \"open g");
    list_join(array, "|", &text);
    assert_string_equal(buffer_text(&text), "a@x|b@x|\"c, d\\\" e\"@x|f@x|\"open g");
    buffer_free(&text);
}

/* --- domains --- */

static void a_domain_keeps_all_that_its_form_says(void **state)
{
    struct console *console = *state;
    sign_in(console);
    post(console, "/domains/new", "name=main.example&kind=mx&recipients=reject");
    assert_leads_to(console, "/domains?done=added");
    post(console, "/domains/new",
         "name=old.example&kind=relay&relays=mx.example&balance=share&relays_mx=yes&tls=verified"
         "&user=gate&password=topsecret&recipients=drop&alias_of=MAIN.example");
    assert_leads_to(console, "/domains?done=added");
    assert_kept(
        console, STORE_DOMAINS, "old.example",
        "{\"route\":{\"kind\":\"relay\",\"relays\":[{\"host\":\"mx.example\",\"port\":25}],"
        "\"balance\":\"share\",\"mx\":true,\"tls\":\"verified\",\"user\":\"gate\","
        "\"password\":\"topsecret\"},\"recipients\":\"drop\",\"alias_of\":\"main.example\"}");
    get(console, "/domains?search=old");
    assert_shows(console, "stands for main.example");
    assert_shows(console, "<td>deleted</td>");
    get(console, "/domains/named/old.example");
    assert_shows(console, "<option value=\"share\" selected>");
    assert_shows(console, "<option value=\"verified\" selected>");
    assert_shows(console, "value=\"drop\" checked>");
    assert_shows(console, "value=\"yes\" checked>");
    assert_shows(console, "name=\"alias_of\" value=\"main.example\"");
    assert_shows(console, "to keep the present one");
    assert_hides(console, "topsecret");
    post(console, "/domains/named/old.example",
         "kind=relay&relays=mx.example&user=gate2&password=&recipients=any");
    assert_leads_to(console, "/domains?done=saved");
    assert_kept(console, STORE_DOMAINS, "old.example",
                "{\"route\":{\"kind\":\"relay\",\"relays\":[{\"host\":\"mx.example\",\"port\":25}],"
                "\"user\":\"gate2\",\"password\":\"topsecret\"},\"recipients\":\"any\"}");
}

static void a_domain_that_is_wrong_is_refused_at_its_field(void **state)
{
    struct console *console = *state;
    sign_in(console);
    post(console, "/domains/new", "name=a.example&kind=mx&alias_of=b.example");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-alias_of\"");
    post(console, "/domains/new", "name=a.example&kind=mx&alias_of=a.example");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-alias_of\"");
    post(console, "/domains/new", "name=a.example&kind=mx&recipients=maybe");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-recipients\"");
    post(console, "/domains/new", "name=a.example&kind=relay&relays=x&user=u");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-password\"");
    post(console, "/domains/new", "name=a.example&kind=relay&relays=x&user=u&password=p&tls=off");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-tls\"");
    assert_hides(console, "value=\"p\"");
    assert_int_equal(entries(console, STORE_DOMAINS), 0);
}

static void a_domain_that_another_stands_for_stays(void **state)
{
    struct console *console = *state;
    sign_in(console);
    post(console, "/domains/new", "name=main.example&kind=mx");
    post(console, "/domains/new", "name=old.example&kind=mx&alias_of=main.example");
    post(console, "/domains/named/main.example/remove", "");
    assert_status(console, 409);
    assert_shows(console, "old.example stands for it");
    assert_int_equal(entries(console, STORE_DOMAINS), 2);
}

static void the_default_route_keeps_its_password(void **state)
{
    struct console *console = *state;
    sign_in(console);
    post(console, "/domains/default-route", "kind=relay&relays=x&user=u&password=topsecret");
    assert_leads_to(console, "/domains?done=saved");
    get(console, "/domains/default-route");
    assert_hides(console, "topsecret");
    post(console, "/domains/default-route", "kind=relay&relays=y&user=u&password=");
    assert_leads_to(console, "/domains?done=saved");
    cleanup_json json_t *route = store_setting_get(console->scene->store, "default_route", NULL);
    assert_string_equal(json_string_value(json_object_get(route, "password")), "topsecret");
}

/* --- aliases and masquerades --- */

static void an_alias_is_added_found_changed_and_removed(void **state)
{
    struct console *console = *state;
    sign_in(console);
    int64_t before = version_of(console->scene);
    get(console, "/aliases");
    assert_shows(console, "No alias yet");
    post(console, "/aliases/new", "key=Sales@Example.COM&to=a@x.example%0d%0aB@y.example");
    assert_leads_to(console, "/aliases?done=added");
    assert_int_equal(version_of(console->scene), before + 1);
    assert_kept(console, STORE_ALIASES, "sales@example.com",
                "{\"to\":[\"a@x.example\",\"B@y.example\"]}");
    get(console, "/aliases?search=b@Y.ex");
    assert_shows(console, "/aliases/edit?key=sales%40example.com");
    get(console, "/aliases?search=nothing");
    assert_shows(console, "No alias");
    get(console, "/aliases/edit?key=sales%40example.com");
    assert_shows(console, "a@x.example\nB@y.example</textarea>");
    post(console, "/aliases/edit", "key=sales@example.com&to=c@x.example");
    assert_leads_to(console, "/aliases?done=saved");
    post(console, "/aliases/new", "key=sales@example.com&to=d@x.example");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-key\"");
    assert_kept(console, STORE_ALIASES, "sales@example.com", "{\"to\":[\"c@x.example\"]}");
    post(console, "/aliases/remove", "key=sales@example.com");
    assert_leads_to(console, "/aliases?done=removed");
    get(console, "/aliases/edit?key=sales%40example.com");
    assert_status(console, 404);
}

static void an_alias_that_is_wrong_is_refused_at_its_field(void **state)
{
    struct console *console = *state;
    sign_in(console);
    post(console, "/aliases/new", "key=nothing&to=a@x.example");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-key\"");
    post(console, "/aliases/new", "key=@.sub.example&to=a@x.example");
    assert_status(console, 422);
    post(console, "/aliases/new", "key=a@x.example&to=");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-to\"");
    post(console, "/aliases/new", "key=a@x.example&to=b@x.example%0abad");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-to\">Line 2 ");
    assert_int_equal(entries(console, STORE_ALIASES), 0);
}

static void a_masquerade_is_added_and_refused_at_its_field(void **state)
{
    struct console *console = *state;
    sign_in(console);
    post(console, "/masquerades/new", "key=@.In.example&to=@example.com");
    assert_leads_to(console, "/masquerades?done=added");
    assert_kept(console, STORE_MASQUERADES, "@.in.example", "{\"to\":\"@example.com\"}");
    get(console, "/masquerades");
    assert_shows(console, "@.in.example");
    post(console, "/masquerades/new", "key=@x.example&to=@x.example");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-to\"");
    post(console, "/masquerades/new", "key=@x.example&to=@.y.example");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-to\"");
}

/* --- import and export --- */

static void a_file_of_domains_comes_back_as_it_was_taken(void **state)
{
    static const char file[] =
        "name,route,relays,tls,recipients,alias_of,balance,mx,user,password\r\n"
        "a.example,mx,,,any,,,,,\r\n"
        "b.example,relay,mx.example:25 [2001:db8::1]:2525,verified,reject,,share,yes,,\r\n"
        "c.example,mx,,,drop,a.example,,,,\r\n";
    struct console *console = *state;
    sign_in(console);
    int64_t before = version_of(console->scene);
    upload_text(console, "/domains/import", "mode=merge", file);
    assert_status(console, 200);
    assert_shows(console, "<dt>Added</dt><dd>3</dd>");
    assert_int_equal(version_of(console->scene), before + 1);
    get(console, "/domains/export");
    assert_string_equal(header_of(console, "Content-Disposition"),
                        "attachment; filename=\"domains.csv\"");
    assert_string_equal(body_of(console), file);
    cleanup_free char *exported = strdup(body_of(console));
    upload_text(console, "/domains/import", "mode=merge", exported);
    assert_shows(console, "<dt>Changed</dt><dd>0</dd>");
    assert_int_equal(version_of(console->scene), before + 1);
}

static void every_wrong_line_is_named_and_nothing_is_changed(void **state)
{
    static const char file[] = "name,relays,alias_of,recipients\n"
                               "good.example,mx.example,,\n"
                               "bad domain,,,\n"
                               "good.example,,,\n"
                               "target.example,,missing.example,\n"
                               "relay.example,mx.example:99999,,\n"
                               "check.example,,,maybe\n"
                               "self.example,,self.example,\n"
                               "follows.example,,target.example,\n";
    static const int wrong[] = {3, 4, 5, 6, 7, 8, 9};
    struct console *console = *state;
    char row[64];
    sign_in(console);
    upload_text(console, "/domains/import", "mode=merge", file);
    assert_status(console, 422);
    for (size_t i = 0; i < 7; i++) {
        snprintf(row, sizeof row, "<tr><th scope=\"row\">%d</th>", wrong[i]);
        assert_shows(console, row);
    }
    assert_hides(console, "<th scope=\"row\">2</th>");
    assert_shows(console, "stands already in line 2");
    assert_int_equal(entries(console, STORE_DOMAINS), 0);
    upload_text(console, "/domains/import", "mode=merge&skip=yes", file);
    assert_status(console, 200);
    assert_shows(console, "<dt>Lines left out</dt><dd>7</dd>");
    assert_int_equal(entries(console, STORE_DOMAINS), 1);
}

static void to_replace_all_shows_the_counts_before_it_does(void **state)
{
    struct console *console = *state;
    char path[64];
    sign_in(console);
    post(console, "/aliases/new", "key=a@x.example&to=1@x.example");
    post(console, "/aliases/new", "key=b@x.example&to=1@x.example");
    get(console, "/aliases/import");
    post(console, "/aliases/import",
         "mode=replace&text=b@x.example,1@x.example%0ac@x.example,2@x.example");
    assert_status(console, 200);
    assert_shows(console, "<dt>Added</dt><dd>1</dd>");
    assert_shows(console, "<dt>Changed</dt><dd>0</dd>");
    assert_shows(console, "<dt>Removed</dt><dd>1</dd>");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM alias WHERE address ="
                                              " 'a@x.example'"),
                     1);
    snprintf(path, sizeof path, "/aliases/import/%d",
             (int)count_of(console->scene, "SELECT max(id) FROM import_draft"));
    assert_shows(console, path);
    post(console, path, "");
    assert_status(console, 200);
    assert_shows(console, "<dt>Removed</dt><dd>1</dd>");
    assert_int_equal(entries(console, STORE_ALIASES), 2);
    post(console, "/aliases/import/999999", "");
    assert_status(console, 404);
}

static void aliases_and_masquerades_come_back_as_they_were_taken(void **state)
{
    static const char aliases[] = "address,to\r\n"
                                  "\"\"\"a b\"\"@x.example\",y@x.example\r\n"
                                  "@whole.example,one@x.example two@x.example\r\n";
    static const char masquerades[] = "from,to\r\n@.in.example,@example.com\r\n"
                                      "a@in.example,b@example.com\r\n";
    struct console *console = *state;
    sign_in(console);
    upload_text(console, "/aliases/import", "mode=merge", aliases);
    get(console, "/aliases/export");
    assert_string_equal(body_of(console), aliases);
    upload_text(console, "/masquerades/import", "mode=merge", masquerades);
    get(console, "/masquerades/export");
    assert_string_equal(body_of(console), masquerades);
}

static void passwords_are_not_exported_and_an_import_keeps_them(void **state)
{
    struct console *console = *state;
    sign_in(console);
    upload_text(console, "/domains/import", "mode=merge",
                "name,relays,user,password\na.example,mx.example,gate,topsecret\n");
    assert_status(console, 200);
    get(console, "/domains/export");
    assert_hides(console, "topsecret");
    assert_shows(console, ",gate,");
    cleanup_free char *file = strdup(body_of(console));
    upload_text(console, "/domains/import", "mode=merge", file);
    assert_shows(console, "<dt>Changed</dt><dd>0</dd>");
    upload_text(console, "/domains/import", "mode=merge",
                "name,relays,user\nb.example,mx.example,gate\n");
    assert_status(console, 422);
    assert_shows(console, "password: is missing");
}

static void a_file_that_cannot_be_used_is_refused(void **state)
{
    struct console *console = *state;
    sign_in(console);
    get(console, "/domains/import");
    post(console, "/domains/import", "mode=merge");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-file\"");
    upload_text(console, "/domains/import", "mode=merge", "name,color\na.example,red\n");
    assert_status(console, 422);
    assert_shows(console, "which is not known");
    upload_text(console, "/domains/import", "mode=merge", "name\n");
    assert_status(console, 422);
    upload_text(console, "/domains/import", "mode=all", "a.example\n");
    assert_status(console, 422);
    upload(console, "/domains/import", "mode=merge", "\0\0\0", 3);
    assert_status(console, 422);
}

static void ten_thousand_lines_are_taken_within_seconds(void **state)
{
    struct console *console = *state;
    struct buffer file = BUFFER_INIT;
    sign_in(console);
    for (int i = 0; i < 10000; i++)
        buffer_add_format(&file, "d%05d.example,relay,192.0.2.%d:2525,,reject\r\n", i, i % 250 + 1);
    int64_t begun = timestamp_monotonic_ms();
    upload(console, "/domains/import", "mode=merge", file.data, file.length);
    int64_t took = timestamp_monotonic_ms() - begun;
    print_message("10,000 lines in %d ms\n", (int)took);
    assert_status(console, 200);
    assert_shows(console, "<dt>Added</dt><dd>10,000</dd>");
    assert_true(took < 10000);
    buffer_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_is_read_as_rfc_4180_says),
        cmocka_unit_test(csv_that_is_no_text_or_too_much_is_refused_by_the_line),
        cmocka_unit_test(what_csv_writes_it_reads),
        cmocka_unit_test(csv_makes_no_formula_of_a_field),
        cmocka_unit_test(addresses_are_split_but_not_in_quotes),
        page_test(a_domain_keeps_all_that_its_form_says),
        page_test(a_domain_that_is_wrong_is_refused_at_its_field),
        page_test(a_domain_that_another_stands_for_stays),
        page_test(the_default_route_keeps_its_password),
        page_test(an_alias_is_added_found_changed_and_removed),
        page_test(an_alias_that_is_wrong_is_refused_at_its_field),
        page_test(a_masquerade_is_added_and_refused_at_its_field),
        page_test(a_file_of_domains_comes_back_as_it_was_taken),
        page_test(every_wrong_line_is_named_and_nothing_is_changed),
        page_test(to_replace_all_shows_the_counts_before_it_does),
        page_test(aliases_and_masquerades_come_back_as_they_were_taken),
        page_test(passwords_are_not_exported_and_an_import_keeps_them),
        page_test(a_file_that_cannot_be_used_is_refused),
        page_test(ten_thousand_lines_are_taken_within_seconds),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
