import type { ButtonHTMLAttributes } from "react";

type Look = "solid" | "plain" | "danger";
const looks: Record<Look, string> = {
  solid: "bg-ink text-sheet border-ink hover:bg-soft hover:border-soft",
  plain: "bg-sheet text-ink border-edge hover:bg-sunken",
  danger: "bg-sheet text-danger border-danger hover:bg-danger-wash",
};

export function Button({
  look = "plain",
  className = "",
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { look?: Look }) {
  return (
    <button
      type="button"
      {...rest}
      className={`inline-flex min-h-8 items-center justify-center gap-1.5 whitespace-nowrap rounded-md border px-3 text-sm font-medium disabled:cursor-not-allowed disabled:border-line disabled:bg-transparent disabled:text-faint ${looks[look]} ${className}`}
    />
  );
}
