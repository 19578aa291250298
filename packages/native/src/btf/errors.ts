/** What a BTF reader can refuse, for a `switch`. */
export type BtfErrorCode = "BTF_NOT_AVAILABLE" | "BTF_MALFORMED" | "BTF_NOT_FOUND";

export class BtfError extends Error {
  override readonly name = "BtfError";
  readonly code: BtfErrorCode;
  constructor(code: BtfErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
