/* Which verdict a find stands for. */
#ifndef GATEHOUSE_SCANNER_ENGINE_VERDICT_H
#define GATEHOUSE_SCANNER_ENGINE_VERDICT_H

#include "common/config_model.h"

/* By the name of a signature: ClamAV's naming puts the kind of threat between dots
 * ("Win.Worm.Mydoom-1", "PUA.Win.Adware.X", "Heuristics.Encrypted.PDF"). A name that tells no kind
 * is a virus. */
enum config_verdict verdict_of_name(const char *name);

#endif
