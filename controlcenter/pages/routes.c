/* Every address of the console. */
#include "controlcenter/pages/application.h"
#include "controlcenter/pages/handlers.h"

const struct http_route page_routes[] = {
    {HTTP_GET, "/sign-in", HTTP_PUBLIC, page_sign_in_form},
    {HTTP_POST, "/sign-in", HTTP_PUBLIC, page_sign_in},
    {HTTP_POST, "/sign-out", HTTP_PASSWORD_ONLY, page_sign_out},
    {HTTP_GET, "/account/password", HTTP_PASSWORD_ONLY, page_password_form},
    {HTTP_POST, "/account/password", HTTP_PASSWORD_ONLY, page_password},

    {HTTP_GET, "/", HTTP_SIGNED_IN, page_dashboard},
    {HTTP_GET, "/audit", HTTP_SIGNED_IN, page_audit},
    {HTTP_GET, "/audit/:id", HTTP_SIGNED_IN, page_audit_message},

    {HTTP_GET, "/queues", HTTP_SIGNED_IN, page_queues},
    {HTTP_POST, "/queues/confirm", HTTP_SIGNED_IN, page_queue_confirm},
    {HTTP_POST, "/queues/act", HTTP_SIGNED_IN, page_queue_act},
    {HTTP_GET, "/queues/progress", HTTP_SIGNED_IN, page_queue_progress},
    {HTTP_GET, "/queues/:scanner/:id", HTTP_SIGNED_IN, page_queue_message},

    {HTTP_GET, "/malware/policy", HTTP_SIGNED_IN, page_malware_policy_form},
    {HTTP_POST, "/malware/policy", HTTP_SIGNED_IN, page_malware_policy},

    {HTTP_GET, "/domains", HTTP_SIGNED_IN, page_domains},
    {HTTP_GET, "/domains/new", HTTP_SIGNED_IN, page_domain_new_form},
    {HTTP_POST, "/domains/new", HTTP_SIGNED_IN, page_domain_new},
    {HTTP_GET, "/domains/default-route", HTTP_SIGNED_IN, page_default_route_form},
    {HTTP_POST, "/domains/default-route", HTTP_SIGNED_IN, page_default_route},
    {HTTP_GET, "/domains/named/:name", HTTP_SIGNED_IN, page_domain_form},
    {HTTP_POST, "/domains/named/:name", HTTP_SIGNED_IN, page_domain},
    {HTTP_GET, "/domains/named/:name/remove", HTTP_SIGNED_IN, page_domain_remove_form},
    {HTTP_POST, "/domains/named/:name/remove", HTTP_SIGNED_IN, page_domain_remove},

    {HTTP_GET, "/smtp", HTTP_SIGNED_IN, page_smtp_common_form},
    {HTTP_POST, "/smtp", HTTP_SIGNED_IN, page_smtp_common},

    {HTTP_GET, "/directory", HTTP_SIGNED_IN, page_directory},
    {HTTP_GET, "/directory/new", HTTP_SIGNED_IN, page_directory_new_form},
    {HTTP_POST, "/directory/new", HTTP_SIGNED_IN, page_directory_new},
    {HTTP_GET, "/directory/source/:id", HTTP_SIGNED_IN, page_directory_source_form},
    {HTTP_POST, "/directory/source/:id", HTTP_SIGNED_IN, page_directory_source},
    {HTTP_POST, "/directory/source/:id/move", HTTP_SIGNED_IN, page_directory_move},
    {HTTP_GET, "/directory/source/:id/remove", HTTP_SIGNED_IN, page_directory_remove_form},
    {HTTP_POST, "/directory/source/:id/remove", HTTP_SIGNED_IN, page_directory_remove},
    {HTTP_GET, "/directory/users", HTTP_SIGNED_IN, page_directory_users},
    {HTTP_POST, "/directory/users", HTTP_SIGNED_IN, page_directory_user_add},
    {HTTP_GET, "/directory/users/:name", HTTP_SIGNED_IN, page_directory_user_form},
    {HTTP_POST, "/directory/users/:name", HTTP_SIGNED_IN, page_directory_user},

    {HTTP_GET, "/hosts", HTTP_SIGNED_IN, page_hosts},
    {HTTP_GET, "/hosts/new", HTTP_SIGNED_IN, page_host_new_form},
    {HTTP_POST, "/hosts/new", HTTP_SIGNED_IN, page_host_new},
    {HTTP_GET, "/hosts/:id", HTTP_SIGNED_IN, page_host},
    {HTTP_GET, "/hosts/:id/settings", HTTP_SIGNED_IN, page_host_settings_form},
    {HTTP_POST, "/hosts/:id/settings", HTTP_SIGNED_IN, page_host_settings},
    {HTTP_POST, "/hosts/:id/flow", HTTP_SIGNED_IN, page_host_flow},
    {HTTP_GET, "/hosts/:id/remove", HTTP_SIGNED_IN, page_host_remove_form},
    {HTTP_POST, "/hosts/:id/remove", HTTP_SIGNED_IN, page_host_remove},

    {HTTP_GET, "/certificates", HTTP_SIGNED_IN, page_certificates},
    {HTTP_GET, "/certificates/new", HTTP_SIGNED_IN, page_certificate_new_form},
    {HTTP_POST, "/certificates/new", HTTP_SIGNED_IN, page_certificate_new},
    {HTTP_GET, "/certificates/import", HTTP_SIGNED_IN, page_certificate_import_form},
    {HTTP_POST, "/certificates/import", HTTP_SIGNED_IN, page_certificate_import},
    {HTTP_GET, "/certificates/:id", HTTP_SIGNED_IN, page_certificate},
    {HTTP_POST, "/certificates/:id/answer", HTTP_SIGNED_IN, page_certificate_answer},
    {HTTP_GET, "/certificates/:id/remove", HTTP_SIGNED_IN, page_certificate_remove_form},
    {HTTP_POST, "/certificates/:id/remove", HTTP_SIGNED_IN, page_certificate_remove},

    {HTTP_OTHER, NULL, HTTP_PUBLIC, NULL},
};
