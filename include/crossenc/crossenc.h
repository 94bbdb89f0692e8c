/* crossenc/crossenc.h - all of crossenc's public interface.
 *
 * What is not declared in these headers is not part of the interface. */
#ifndef CROSSENC_H
#define CROSSENC_H

#include <crossenc/convert.h>
#include <crossenc/device.h>
#include <crossenc/encoder.h>
#include <crossenc/hub.h>
#include <crossenc/metrics.h>
#include <crossenc/model.h>
#include <crossenc/score.h>
#include <crossenc/status.h>
#include <crossenc/text.h>

#endif
