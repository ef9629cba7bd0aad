/* The handlers of the route table (routes.c), by the file that has them. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_HANDLERS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_HANDLERS_H

#include "controlcenter/http/http.h"

/* sign_in.c */
void page_sign_in_form(struct http_request *request, struct http_response *response);
void page_sign_in(struct http_request *request, struct http_response *response);
void page_sign_out(struct http_request *request, struct http_response *response);

/* account.c */
void page_password_form(struct http_request *request, struct http_response *response);
void page_password(struct http_request *request, struct http_response *response);

/* dashboard.c */
void page_dashboard(struct http_request *request, struct http_response *response);

/* audit.c, audit_message.c */
void page_audit(struct http_request *request, struct http_response *response);
void page_audit_message(struct http_request *request, struct http_response *response);

/* outbox.c */
void page_outbox(struct http_request *request, struct http_response *response);
void page_outbox_retry(struct http_request *request, struct http_response *response);

/* queues.c, queue_message.c, queue_action.c, queue_progress.c */
void page_queues(struct http_request *request, struct http_response *response);
void page_queue_message(struct http_request *request, struct http_response *response);
void page_queue_confirm(struct http_request *request, struct http_response *response);
void page_queue_act(struct http_request *request, struct http_response *response);
void page_queue_progress(struct http_request *request, struct http_response *response);

/* incidents.c, incident.c, incident_act.c */
void page_incidents(struct http_request *request, struct http_response *response);
void page_incident(struct http_request *request, struct http_response *response);
void page_incident_comment(struct http_request *request, struct http_response *response);
void page_incident_assign(struct http_request *request, struct http_response *response);
void page_incident_source(struct http_request *request, struct http_response *response);
void page_incident_confirm(struct http_request *request, struct http_response *response);
void page_incident_act(struct http_request *request, struct http_response *response);

/* incident_folders.c */
void page_incident_folders(struct http_request *request, struct http_response *response);
void page_incident_folders_usual(struct http_request *request, struct http_response *response);
void page_incident_folder_form(struct http_request *request, struct http_response *response);
void page_incident_folder(struct http_request *request, struct http_response *response);
void page_incident_folder_remove(struct http_request *request, struct http_response *response);

/* signatures.c, signature_updates.c, signature_settings.c */
void page_signatures(struct http_request *request, struct http_response *response);
void page_signature_upload(struct http_request *request, struct http_response *response);
void page_signature_switch(struct http_request *request, struct http_response *response);
void page_signature_remove_form(struct http_request *request, struct http_response *response);
void page_signature_remove(struct http_request *request, struct http_response *response);
void page_signature_update_now(struct http_request *request, struct http_response *response);
void page_signature_settings_form(struct http_request *request, struct http_response *response);
void page_signature_settings(struct http_request *request, struct http_response *response);

/* directory.c, directory_edit.c, directory_users.c */
void page_directory(struct http_request *request, struct http_response *response);
void page_directory_move(struct http_request *request, struct http_response *response);
void page_directory_remove_form(struct http_request *request, struct http_response *response);
void page_directory_remove(struct http_request *request, struct http_response *response);
void page_directory_new_form(struct http_request *request, struct http_response *response);
void page_directory_new(struct http_request *request, struct http_response *response);
void page_directory_source_form(struct http_request *request, struct http_response *response);
void page_directory_source(struct http_request *request, struct http_response *response);
void page_directory_users(struct http_request *request, struct http_response *response);
void page_directory_user_add(struct http_request *request, struct http_response *response);
void page_directory_user_form(struct http_request *request, struct http_response *response);
void page_directory_user(struct http_request *request, struct http_response *response);

/* malware_limits.c, malware_policy.c */
void page_malware_limits_form(struct http_request *request, struct http_response *response);
void page_malware_limits(struct http_request *request, struct http_response *response);
void page_malware_policy_form(struct http_request *request, struct http_response *response);
void page_malware_policy(struct http_request *request, struct http_response *response);

/* policy_filters.c, policy_filter_edit.c */
void page_policy_filters(struct http_request *request, struct http_response *response);
void page_policy_filter_move(struct http_request *request, struct http_response *response);
void page_policy_filter_switch(struct http_request *request, struct http_response *response);
void page_policy_filter_copy(struct http_request *request, struct http_response *response);
void page_policy_filter_remove_form(struct http_request *request, struct http_response *response);
void page_policy_filter_remove(struct http_request *request, struct http_response *response);
void page_policy_filter_new_form(struct http_request *request, struct http_response *response);
void page_policy_filter_new(struct http_request *request, struct http_response *response);
void page_policy_filter_form(struct http_request *request, struct http_response *response);
void page_policy_filter(struct http_request *request, struct http_response *response);

/* policy_review.c, policy_history.c, policy_import.c */
void page_policy_review(struct http_request *request, struct http_response *response);
void page_policy_publish(struct http_request *request, struct http_response *response);
void page_policy_discard_form(struct http_request *request, struct http_response *response);
void page_policy_discard(struct http_request *request, struct http_response *response);
void page_policy_history(struct http_request *request, struct http_response *response);
void page_policy_version(struct http_request *request, struct http_response *response);
void page_policy_compare(struct http_request *request, struct http_response *response);
void page_policy_revert(struct http_request *request, struct http_response *response);
void page_policy_export(struct http_request *request, struct http_response *response);
void page_policy_version_export(struct http_request *request, struct http_response *response);
void page_policy_import_form(struct http_request *request, struct http_response *response);
void page_policy_import(struct http_request *request, struct http_response *response);

/* policy_test.c */
void page_policy_test_form(struct http_request *request, struct http_response *response);
void page_policy_test(struct http_request *request, struct http_response *response);

/* policy_groups.c, policy_group_edit.c */
void page_policy_groups(struct http_request *request, struct http_response *response);
void page_policy_group_move(struct http_request *request, struct http_response *response);
void page_policy_group_copy(struct http_request *request, struct http_response *response);
void page_policy_group_remove_form(struct http_request *request, struct http_response *response);
void page_policy_group_remove(struct http_request *request, struct http_response *response);
void page_policy_group_new_form(struct http_request *request, struct http_response *response);
void page_policy_group_new(struct http_request *request, struct http_response *response);
void page_policy_group_form(struct http_request *request, struct http_response *response);
void page_policy_group(struct http_request *request, struct http_response *response);

/* domains.c, domain_edit.c */
void page_domains(struct http_request *request, struct http_response *response);
void page_domain_new_form(struct http_request *request, struct http_response *response);
void page_domain_new(struct http_request *request, struct http_response *response);
void page_domain_form(struct http_request *request, struct http_response *response);
void page_domain(struct http_request *request, struct http_response *response);
void page_domain_remove_form(struct http_request *request, struct http_response *response);
void page_domain_remove(struct http_request *request, struct http_response *response);
void page_default_route_form(struct http_request *request, struct http_response *response);
void page_default_route(struct http_request *request, struct http_response *response);

/* delivery_security.c */
void page_delivery_security_form(struct http_request *request, struct http_response *response);
void page_delivery_security(struct http_request *request, struct http_response *response);
void page_tls_policy_new(struct http_request *request, struct http_response *response);
void page_tls_policy_form(struct http_request *request, struct http_response *response);
void page_tls_policy(struct http_request *request, struct http_response *response);
void page_tls_policy_remove(struct http_request *request, struct http_response *response);

/* bounce_protection.c */
void page_bounce_protection_form(struct http_request *request, struct http_response *response);
void page_bounce_protection(struct http_request *request, struct http_response *response);
void page_bounce_key_new(struct http_request *request, struct http_response *response);
void page_bounce_key_remove(struct http_request *request, struct http_response *response);

/* smtp_common.c */
void page_smtp_common_form(struct http_request *request, struct http_response *response);
void page_smtp_common(struct http_request *request, struct http_response *response);

/* certificates.c, certificate_make.c, certificate_import.c */
void page_certificates(struct http_request *request, struct http_response *response);
void page_certificate(struct http_request *request, struct http_response *response);
void page_certificate_remove_form(struct http_request *request, struct http_response *response);
void page_certificate_remove(struct http_request *request, struct http_response *response);
void page_certificate_new_form(struct http_request *request, struct http_response *response);
void page_certificate_new(struct http_request *request, struct http_response *response);
void page_certificate_import_form(struct http_request *request, struct http_response *response);
void page_certificate_import(struct http_request *request, struct http_response *response);
void page_certificate_answer(struct http_request *request, struct http_response *response);

/* address_lists.c: aliases and masquerades */
void page_address_list(struct http_request *request, struct http_response *response);
void page_address_new_form(struct http_request *request, struct http_response *response);
void page_address_new(struct http_request *request, struct http_response *response);
void page_address_form(struct http_request *request, struct http_response *response);
void page_address(struct http_request *request, struct http_response *response);
void page_address_remove_form(struct http_request *request, struct http_response *response);
void page_address_remove(struct http_request *request, struct http_response *response);

/* list_import.c: domains, aliases and masquerades as a file */
void page_list_export(struct http_request *request, struct http_response *response);
void page_list_import_form(struct http_request *request, struct http_response *response);
void page_list_import(struct http_request *request, struct http_response *response);
void page_list_import_confirm(struct http_request *request, struct http_response *response);

/* hosts.c, host_add.c, host_flow.c, host_settings.c */
void page_hosts(struct http_request *request, struct http_response *response);
void page_host(struct http_request *request, struct http_response *response);
void page_host_remove_form(struct http_request *request, struct http_response *response);
void page_host_remove(struct http_request *request, struct http_response *response);
void page_host_new_form(struct http_request *request, struct http_response *response);
void page_host_new(struct http_request *request, struct http_response *response);
void page_host_flow(struct http_request *request, struct http_response *response);
void page_host_settings_form(struct http_request *request, struct http_response *response);
void page_host_settings(struct http_request *request, struct http_response *response);

/* link.c */
void page_link(struct http_request *request, struct http_response *response);
void page_link_act(struct http_request *request, struct http_response *response);

/* policy_resources.c, policy_resource_edit.c */
void page_policy_resources(struct http_request *request, struct http_response *response);
void page_policy_resource_premium(struct http_request *request, struct http_response *response);
void page_policy_resource_copy(struct http_request *request, struct http_response *response);
void page_policy_resource_remove_form(struct http_request *request, struct http_response *response);
void page_policy_resource_remove(struct http_request *request, struct http_response *response);
void page_policy_resource_new_form(struct http_request *request, struct http_response *response);
void page_policy_resource_form(struct http_request *request, struct http_response *response);
void page_policy_resource(struct http_request *request, struct http_response *response);
void page_policy_words(struct http_request *request, struct http_response *response);

/* notification_settings.c, notification_usual.c */
void page_notifications_usual(struct http_request *request, struct http_response *response);
void page_notification_settings_form(struct http_request *request, struct http_response *response);
void page_notification_settings(struct http_request *request, struct http_response *response);

#endif
