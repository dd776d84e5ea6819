/** What the log says of a drain that does not end. */
import { expect, test } from "bun:test";
import { Shutdown } from "../../../src/app/shutdown.ts";
import { createLog } from "../../../src/observe/log.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";
