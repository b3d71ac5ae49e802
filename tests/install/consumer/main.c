#include <espalier/espalier.h>
#include <stdio.h>

int main(int argc, char** argv) {
  espalier_error error;
  espalier_model* model = NULL;
  if (argc != 2) return 2;
  if (espalier_model_open(argv[1], &model, &error) != ESPALIER_OK ||
      espalier_model_check(model, NULL, &error) != ESPALIER_OK) {
    printf("%s\n", error.text);
    return 1;
  }
  espalier_model_free(model);
  return 0;
}
