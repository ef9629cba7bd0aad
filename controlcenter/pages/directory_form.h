/* A directory source between its form and its settings (common/config_model.h, "directory"). The
 * bind password is in neither: it goes from the request to the store and nowhere else. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_DIRECTORY_FORM_H
#define GATEHOUSE_CONTROLCENTER_PAGES_DIRECTORY_FORM_H

#include "controlcenter/pages/pages.h"

/* Fills the form; `settings` of NULL takes those of a new source. */
void directory_form_fill(struct form *form, const char *name, const json_t *settings);
/* Reads the form, refusing what has no form at all; the rest is the scanner's check. The caller
 * owns the settings; filters of purposes that are off are kept under "disabled". */
json_t *directory_form_read(struct form *form);
/* Puts the filters and attributes of a preset ("active_directory", "openldap" or "389") in. */
void directory_form_preset(struct form *form, const char *preset);
/* Names the field of an error of fleet_check_directory. */
void directory_form_refuse(struct form *form, const struct error *error);

#endif
