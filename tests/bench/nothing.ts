/** A program that does nothing: what the runtime itself costs to start and to end. */
process.exit(0);
